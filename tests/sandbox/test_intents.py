"""Payment intents, charges, refunds and disputes: their parameters, and how they are found."""

from typing import Any

import requests

from tests.sandbox.conftest import Sandbox
from tests.sandbox.hosted import submit

SHIPPING = {"name": "Ann", "address": {"line1": "1 Main St", "city": "Berlin", "country": "DE"}}


def test_what_an_intent_says_is_on_its_charge(api: Any, alice: Any) -> None:
    made = api.payment_intents.create(
        {
            "amount": 700,
            "currency": "usd",
            "customer": alice.id,
            "description": "shoes",
            "metadata": {"order": "1"},
            "receipt_email": "ann@example.com",
            "shipping": SHIPPING,
            "setup_future_usage": "off_session",
            "allowed_payment_method_types": ["card"],
        }
    )
    done = api.payment_intents.confirm(made.id, {"payment_method": "pm_card_visa"})
    charge = api.charges.retrieve(done.latest_charge)
    assert (charge.description, charge.metadata.order, charge.receipt_email) == ("shoes", "1", "ann@example.com")
    assert charge.shipping.address.city == "Berlin"
    assert api.payment_methods.retrieve(done.payment_method).customer == alice.id


def test_an_intent_can_be_changed_before_it_is_confirmed(api: Any) -> None:
    made = api.payment_intents.create({"amount": 700, "currency": "usd", "metadata": {"a": "1"}})
    changes = {"amount": 800, "description": "boots", "receipt_email": "b@example.com", "metadata": {"b": "2"}}
    changed = api.payment_intents.update(made.id, {**changes, "payment_method": "pm_card_visa"})
    assert changed.status == "requires_confirmation"
    charge = api.charges.retrieve(api.payment_intents.confirm(made.id).latest_charge)
    assert (charge.amount, charge.description, charge.receipt_email) == (800, "boots", "b@example.com")
    assert charge.metadata.to_dict() == {"a": "1", "b": "2"}
    words = {"description": "d", "receipt_email": "c@example.com", "metadata": {"c": "3"}}
    later = api.charges.update(charge.id, words)
    assert (later.description, later.receipt_email, later.metadata.c) == ("d", "c@example.com", "3")


def test_a_cancelled_intent_says_why(api: Any) -> None:
    made = api.payment_intents.create({"amount": 700, "currency": "usd"})
    done = api.payment_intents.cancel(made.id, {"cancellation_reason": "requested_by_customer"})
    assert (done.status, done.cancellation_reason) == ("canceled", "requested_by_customer")


def test_authentication_leads_back_to_the_return_url(api: Any) -> None:
    terms = {"amount": 700, "currency": "usd", "payment_method": "pm_card_authenticationRequired"}
    made = api.payment_intents.create({**terms, "confirm": True, "return_url": "http://shop.example/back"})
    page = submit(made.next_action.redirect_to_url.url, answer="complete")
    assert page.leads_to.startswith("http://shop.example/back")


def test_a_later_confirmation_may_lead_elsewhere(api: Any) -> None:
    made = api.payment_intents.create({"amount": 700, "currency": "usd"})
    terms = {"payment_method": "pm_card_authenticationRequired", "off_session": False}
    asked = api.payment_intents.confirm(made.id, {**terms, "return_url": "http://shop.example/there"})
    assert asked.next_action.redirect_to_url.return_url == "http://shop.example/there"


def test_a_refund_keeps_its_reason_and_notes(api: Any) -> None:
    paid = api.payment_intents.create(
        {"amount": 700, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True}
    )
    words = {"reason": "requested_by_customer", "metadata": {"a": "1"}}
    made = api.refunds.create({"payment_intent": paid.id, "amount": 100, **words})
    changed = api.refunds.update(made.id, {"metadata": {"b": "2"}})
    assert (changed.reason, changed.metadata.to_dict()) == ("requested_by_customer", {"a": "1", "b": "2"})
    assert ids(api.refunds.list({"payment_intent": paid.id})) == [made.id]
    assert ids(api.refunds.list({"charge": paid.latest_charge})) == [made.id]


def test_payments_are_found_by_customer_and_by_each_other(api: Any, alice: Any) -> None:
    terms = {"amount": 700, "currency": "usd", "payment_method": "pm_card_createDispute", "confirm": True}
    paid = api.payment_intents.create({**terms, "customer": alice.id})
    assert ids(api.payment_intents.list({"customer": alice.id})) == [paid.id]
    assert ids(api.charges.list({"payment_intent": paid.id})) == [paid.latest_charge]
    dispute = api.disputes.list({"charge": paid.latest_charge}).data[0]
    assert dispute.payment_intent == paid.id
    assert api.disputes.update(dispute.id, {"metadata": {"a": "1"}}).metadata.a == "1"


def test_balance_transactions_are_found(api: Any) -> None:
    terms = {"amount": 700, "currency": "eur", "payment_method": "pm_card_visa", "confirm": True}
    paid = api.payment_intents.create(terms)
    booked = api.balance_transactions.list({"source": paid.latest_charge}).data
    assert [(one.amount, one.type) for one in booked] == [(700, "charge")]
    assert booked[0].id in ids(api.balance_transactions.list({"currency": "eur", "limit": 100}))
    assert booked[0].id not in ids(api.balance_transactions.list({"type": "refund", "limit": 100}))


def test_a_payment_page_is_confirmed_by_a_method(sandbox: Sandbox, api: Any, begin: Any, once: Any) -> None:
    session = begin("payment", once)
    method = api.payment_methods.create({"type": "card", "card": {"token": "tok_visa"}})
    sent = {"payment_method": method.id, "expected_amount": "1500"}
    done = sandbox.post(f"/v1/payment_pages/{session.id}/confirm", sent)
    assert done.status_code == requests.codes.ok
    assert api.checkout.sessions.retrieve(session.id).payment_status == "paid"


def ids(page: Any) -> list[str]:
    return [one.id for one in page.data]
