"""Early fraud warnings, and the removal of a subscription's discount."""

from typing import Any

import pytest
import stripe

from tests.sandbox.test_credit_notes import ids

CONFIRM = {"amount": 2000, "currency": "usd", "confirm": True}


def test_an_issuer_warns_of_a_payment(api: Any, hook: Any, sandbox: Any) -> None:
    """https://docs.stripe.com/testing#disputes: card 4000 0000 0000 5423"""
    paid = api.payment_intents.create({**CONFIRM, "payment_method": "pm_card_createIssuerFraudRecord"})
    other = api.payment_intents.create({**CONFIRM, "payment_method": "pm_card_visa"})
    (warning,) = api.radar.early_fraud_warnings.list({"payment_intent": paid.id}).data
    assert (warning.charge, warning.actionable, warning.fraud_type) == (
        paid.latest_charge,
        True,
        "made_with_stolen_card",
    )
    assert ids(api.radar.early_fraud_warnings.list({"charge": paid.latest_charge})) == [warning.id]
    assert ids(api.radar.early_fraud_warnings.list({"payment_intent": other.id})) == []
    api.refunds.create({"payment_intent": paid.id, "amount": 500})
    assert api.radar.early_fraud_warnings.retrieve(warning.id).actionable is True
    api.refunds.create({"payment_intent": paid.id})
    assert api.radar.early_fraud_warnings.retrieve(warning.id).actionable is False
    sandbox.config("deliveries/flush")
    assert warning.id in hook.objects("radar.early_fraud_warning.created")
    assert warning.id in hook.objects("radar.early_fraud_warning.updated")


def test_a_dispute_overtakes_a_warning(api: Any, sandbox: Any) -> None:
    paid = api.payment_intents.create({**CONFIRM, "payment_method": "pm_card_createIssuerFraudRecord"})
    sandbox.config(f"disputes/{paid.id}")
    (warning,) = api.radar.early_fraud_warnings.list({"payment_intent": paid.id}).data
    assert warning.actionable is False


def test_a_discount_is_taken_from_a_subscription(
    api: Any, bob: Any, monthly: Any, hook: Any, sandbox: Any
) -> None:
    half = api.coupons.create({"percent_off": 50, "duration": "forever"})
    terms = {"items": [{"price": monthly.id}], "discounts": [{"coupon": half.id}]}
    made = api.subscriptions.create({"customer": bob.id, **terms})
    gone = api.subscriptions.delete_discount(made.id)
    assert (gone.id, gone.deleted) == (made.discounts[0], True)
    assert api.subscriptions.retrieve(made.id).discounts == []
    assert api.invoices.create_preview({"subscription": made.id}).total == 4999
    with pytest.raises(stripe.InvalidRequestError, match="No active discount"):
        api.subscriptions.delete_discount(made.id)
    sandbox.config("deliveries/flush")
    assert gone.id in hook.objects("customer.discount.deleted")
