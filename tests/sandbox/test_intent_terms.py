"""Which payment methods a payment intent takes, and what happens when one asks its holder."""

from typing import Any

import pytest
import stripe

from tests.sandbox.hosted import submit

ASKS = "pm_card_authenticationRequired"


def test_a_card_that_asks_is_declined_if_nobody_handles_it(api: Any) -> None:
    """https://docs.stripe.com/payments/without-card-authentication"""
    terms = {"amount": 700, "currency": "usd"}
    made = api.payment_intents.create(terms)
    calls = [
        lambda: api.payment_intents.create(
            {**terms, "payment_method": ASKS, "confirm": True, "error_on_requires_action": True}
        ),
        lambda: api.payment_intents.confirm(made.id, {"payment_method": ASKS, "error_on_requires_action": True}),
    ]
    for call in calls:
        with pytest.raises(stripe.CardError) as declined:
            call()
        assert declined.value.code == "authentication_required"
        assert declined.value.error.decline_code == "authentication_not_handled"
    assert api.payment_intents.retrieve(made.id).status == "requires_payment_method"
    works = {"payment_method": "pm_card_visa", "error_on_requires_action": True}
    assert api.payment_intents.confirm(made.id, works).status == "succeeded"
    assert api.payment_intents.create({**terms, **works, "confirm": True}).status == "succeeded"


def test_types_of_payment_are_chosen_by_the_currency(api: Any) -> None:
    """https://docs.stripe.com/payments/payment-methods/integration-options"""
    made = {}
    for currency in ("usd", "eur"):
        terms = {"amount": 700, "currency": currency, "automatic_payment_methods": {"enabled": True}}
        made[currency] = api.payment_intents.create(terms)
    assert made["usd"].payment_method_types == ["card"]
    assert made["eur"].payment_method_types == ["card", "sepa_debit"]
    with pytest.raises(stripe.InvalidRequestError) as refused:
        api.payment_intents.confirm(made["eur"].id, {"payment_method": "pm_card_visa"})
    assert refused.value.param == "return_url"
    terms["automatic_payment_methods"] |= {"allow_redirects": "never"}
    stays = api.payment_intents.create({**terms, "payment_method": "pm_card_visa", "confirm": True})
    assert stays.status == "succeeded"
    with pytest.raises(stripe.InvalidRequestError) as refused:
        api.payment_intents.create({**terms, "allowed_payment_method_types": ["card"]})
    assert refused.value.param == "automatic_payment_methods"


def test_an_intent_takes_only_its_types(api: Any) -> None:
    debit = {"type": "sepa_debit", "sepa_debit": {"iban": "AT611904300234573201"}}
    method = api.payment_methods.create({**debit, "billing_details": {"name": "Ann", "email": "ann@example.com"}})
    terms = {"amount": 700, "currency": "eur"}
    cards = api.payment_intents.create(terms)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        api.payment_intents.confirm(cards.id, {"payment_method": method.id})
    assert refused.value.param == "payment_method"
    debits = api.payment_intents.create({**terms, "allowed_payment_method_types": ["sepa_debit"]})
    assert api.payment_intents.confirm(debits.id, {"payment_method": method.id}).status == "processing"


def test_a_seller_can_have_every_card_ask(api: Any) -> None:
    """https://docs.stripe.com/payments/3d-secure/authentication-flow#manual-three-ds"""
    terms = {"amount": 700, "currency": "usd", "payment_method": "pm_card_visa"}
    asks = {"payment_method_options": {"card": {"request_three_d_secure": "any"}}}
    made = api.payment_intents.create({**terms, "confirm": True, **asks})
    assert made.status == "requires_action"
    submit(made.next_action.redirect_to_url.url, answer="complete")
    assert api.payment_intents.retrieve(made.id).status == "succeeded"
    later = api.payment_intents.create(terms)
    assert api.payment_intents.confirm(later.id, asks).status == "requires_action"
