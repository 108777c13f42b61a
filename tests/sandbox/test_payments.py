"""Payments without a page: intents, cards, refunds, customers, prices."""

from typing import Any

import pytest
import requests
import stripe

CONFIRM = {"amount": 2000, "currency": "usd", "confirm": True}


def test_a_payment_is_charged_and_refunded_in_parts(api: Any, alice: Any) -> None:
    intent = api.payment_intents.create({**CONFIRM, "customer": alice.id, "payment_method": "pm_card_visa"})
    assert (intent.status, intent.amount_received) == ("succeeded", 2000)
    part = api.refunds.create({"payment_intent": intent.id, "amount": 500})
    charge = api.charges.retrieve(intent.latest_charge)
    assert (part.charge, charge.amount_refunded, charge.refunded) == (charge.id, 500, False)
    rest = api.refunds.create({"charge": charge.id})
    assert rest.amount == 1500
    assert api.charges.retrieve(charge.id, {"expand": ["refunds"]}).refunds.data[0].id == rest.id
    with pytest.raises(stripe.InvalidRequestError) as raised:
        api.refunds.create({"charge": charge.id})
    assert raised.value.code == "charge_already_refunded"


def test_more_than_is_left_is_not_refunded(api: Any) -> None:
    intent = api.payment_intents.create({**CONFIRM, "payment_method": "pm_card_visa"})
    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded amount"):
        api.refunds.create({"payment_intent": intent.id, "amount": 2001})


@pytest.mark.parametrize(
    ("card", "code", "reason"),
    [
        ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", "expired_card"),
        ("pm_card_chargeCustomerFail", "card_declined", "generic_decline"),
    ],
)
def test_a_declined_charge_is_a_card_error_and_stays_on_record(
    api: Any, card: str, code: str, reason: str
) -> None:
    with pytest.raises(stripe.CardError) as raised:
        api.payment_intents.create({**CONFIRM, "payment_method": card})
    error = raised.value
    assert (error.http_status, error.code, error.error.decline_code) == (402, code, reason)
    intent = api.payment_intents.retrieve(error.error.payment_intent.id)
    assert (intent.status, intent.last_payment_error.code) == ("requires_payment_method", code)
    assert api.charges.retrieve(intent.latest_charge).status == "failed"
    assert api.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"}).status == "succeeded"


def test_a_card_that_declines_cannot_be_saved(api: Any, alice: Any) -> None:
    with pytest.raises(stripe.CardError):
        api.payment_methods.attach("pm_card_chargeDeclined", {"customer": alice.id})
    assert api.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": alice.id}).customer == alice.id


@pytest.mark.parametrize(("answer", "status"), [("complete", "succeeded"), ("fail", "requires_payment_method")])
def test_authentication_is_asked_on_a_page(api: Any, answer: str, status: str) -> None:
    intent = api.payment_intents.create({**CONFIRM, "payment_method": "pm_card_threeDSecure2Required"})
    assert intent.status == "requires_action"
    requests.post(intent.next_action.redirect_to_url.url, data={"answer": answer}, timeout=30).raise_for_status()
    assert api.payment_intents.retrieve(intent.id).status == status


def test_nobody_can_be_asked_off_session_unless_the_card_was_set_up(api: Any, alice: Any) -> None:
    card = "pm_card_authenticationRequiredOnSetup"
    with pytest.raises(stripe.CardError) as raised:
        api.payment_intents.create({**CONFIRM, "payment_method": card, "off_session": True})
    assert raised.value.code == "authentication_required"
    setup = api.setup_intents.create({"customer": alice.id, "payment_method": card, "confirm": True})
    assert setup.status == "requires_action"
    requests.post(setup.next_action.redirect_to_url.url, data={"answer": "complete"}, timeout=30)
    saved = api.setup_intents.retrieve(setup.id)
    assert saved.status == "succeeded"
    charge = {**CONFIRM, "customer": alice.id, "payment_method": saved.payment_method, "off_session": True}
    assert api.payment_intents.create(charge).status == "succeeded"


def test_an_intent_can_be_cancelled_while_it_waits(api: Any) -> None:
    intent = api.payment_intents.create({"amount": 100, "currency": "usd"})
    assert api.payment_intents.cancel(intent.id).status == "canceled"
    with pytest.raises(stripe.InvalidRequestError) as raised:
        api.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})
    assert raised.value.code == "payment_intent_unexpected_state"


def test_a_detached_card_belongs_to_nobody_for_good(api: Any, bob: Any) -> None:
    card = bob.invoice_settings.default_payment_method or api.customers.retrieve(bob.id).invoice_settings
    assert api.payment_methods.detach(card).customer is None
    assert api.customers.retrieve(bob.id).invoice_settings.default_payment_method is None
    event = api.events.list({"type": "payment_method.detached", "limit": 1}).data[0]
    assert event.data.previous_attributes["customer"] == bob.id


def test_a_deleted_customer_leaves_a_stub_and_no_subscription(api: Any, bob: Any, monthly: Any) -> None:
    made = api.subscriptions.create({"customer": bob.id, "items": [{"price": monthly.id}]})
    assert api.customers.delete(bob.id).deleted is True
    assert api.customers.retrieve(bob.id).deleted is True
    assert api.subscriptions.retrieve(made.id).status == "canceled"
    with pytest.raises(stripe.InvalidRequestError, match="No such customer"):
        api.payment_intents.create({"amount": 100, "currency": "usd", "customer": bob.id})


def test_a_lookup_key_belongs_to_one_price(api: Any, product: Any) -> None:
    terms = {"product": product.id, "currency": "usd", "unit_amount": 100, "lookup_key": "pro-monthly"}
    first = api.prices.create(terms)
    with pytest.raises(stripe.InvalidRequestError, match="already uses that lookup key"):
        api.prices.create(terms)
    second = api.prices.create({**terms, "transfer_lookup_key": True})
    assert [price.id for price in api.prices.list({"lookup_keys": ["pro-monthly"]}).data] == [second.id]
    assert api.prices.retrieve(first.id).lookup_key is None


def test_metadata_is_merged_and_emptied_key_by_key(api: Any, alice: Any) -> None:
    api.customers.update(alice.id, {"metadata": {"a": "1", "b": "2"}})
    assert api.customers.update(alice.id, {"metadata": {"a": ""}}).metadata.to_dict() == {"b": "2"}
    assert api.customers.update(alice.id, {"metadata": ""}).metadata.to_dict() == {}


def test_amounts_below_a_cent_are_kept_exactly(api: Any, product: Any) -> None:
    price = api.prices.create({"product": product.id, "currency": "usd", "unit_amount_decimal": "0.125"})
    assert (price.unit_amount, str(price.unit_amount_decimal)) == (None, "0.125")
