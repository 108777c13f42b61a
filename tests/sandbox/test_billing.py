"""Subscriptions, invoices, and the billing portal's pages."""

import datetime as dt
from typing import Any

import pytest
import requests
import stripe

from portal.sandbox.domain.pricing.periods import boundary
from tests.sandbox.conftest import Sandbox
from tests.sandbox.hosted import submit, visit


def day(moment: int) -> str:
    return f"{dt.datetime.fromtimestamp(moment, dt.UTC):%Y-%m-%d}"


def test_a_month_from_31_january_is_28_february_and_then_31_march() -> None:
    anchor = int(dt.datetime(2027, 1, 31, 12, tzinfo=dt.UTC).timestamp())
    monthly = {"interval": "month", "interval_count": 1}
    assert [day(boundary(anchor, monthly, n)) for n in (1, 2, 3)] == ["2027-02-28", "2027-03-31", "2027-04-30"]
    assert day(boundary(anchor, {"interval": "year", "interval_count": 1}, 1)) == "2028-01-31"
    assert day(boundary(anchor, {"interval": "week", "interval_count": 2}, 1)) == "2027-02-14"


def test_a_subscription_is_paid_and_has_its_period_on_the_item(api: Any, bob: Any, monthly: Any) -> None:
    made = api.subscriptions.create({"customer": bob.id, "items": [{"price": monthly.id, "quantity": 2}]})
    item = made["items"].data[0]
    assert (made.status, item.quantity, "current_period_end" in made) == ("active", 2, False)
    assert 28 <= (item.current_period_end - item.current_period_start) / 86400 <= 31
    invoice = api.invoices.retrieve(made.latest_invoice)
    assert (invoice.billing_reason, invoice.amount_paid, invoice.number[-5:]) == (
        "subscription_create",
        9998,
        "-0001",
    )
    line = invoice.lines.data[0]
    assert line.pricing.price_details.price == monthly.id
    assert line.parent.subscription_item_details.subscription_item == item.id
    assert line.period.end == item.current_period_end


def test_a_card_that_fails_leaves_the_subscription_incomplete(api: Any, alice: Any, monthly: Any) -> None:
    card = api.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": alice.id})
    terms = {"customer": alice.id, "items": [{"price": monthly.id}], "default_payment_method": card.id}
    made = api.subscriptions.create({**terms, "expand": ["latest_invoice"]})
    assert (made.status, made.latest_invoice.status, made.latest_invoice.attempt_count) == (
        "incomplete",
        "open",
        1,
    )
    with pytest.raises(stripe.CardError):
        api.subscriptions.create({**terms, "payment_behavior": "error_if_incomplete"})
    assert len(api.subscriptions.list({"customer": alice.id}).data) == 1


def test_a_card_that_asks_waits_for_its_holder(api: Any, alice: Any, monthly: Any) -> None:
    card = api.payment_methods.attach("pm_card_threeDSecure2Required", {"customer": alice.id})
    terms = {"customer": alice.id, "items": [{"price": monthly.id}], "default_payment_method": card.id}
    made = api.subscriptions.create({**terms, "expand": ["latest_invoice.payments.data.payment.payment_intent"]})
    intent = made.latest_invoice.payments.data[0].payment.payment_intent
    assert (made.status, intent.status) == ("incomplete", "requires_action")
    assert submit(intent.next_action.redirect_to_url.url, answer="complete").status == 200
    assert api.subscriptions.retrieve(made.id).status == "active"


def test_a_first_payment_can_be_confirmed_later(api: Any, bob: Any, monthly: Any) -> None:
    terms = {"customer": bob.id, "items": [{"price": monthly.id}], "payment_behavior": "default_incomplete"}
    made = api.subscriptions.create({**terms, "expand": ["latest_invoice.confirmation_secret"]})
    intent = made.latest_invoice.confirmation_secret.client_secret.split("_secret_")[0]
    assert made.status == "incomplete"
    api.payment_intents.confirm(intent, {"payment_method": "pm_card_visa"})
    assert api.subscriptions.retrieve(made.id).status == "active"


def test_the_api_cancels_at_the_end_of_the_period_by_the_flag(api: Any, bob: Any, monthly: Any) -> None:
    made = api.subscriptions.create({"customer": bob.id, "items": [{"price": monthly.id}]})
    ending = api.subscriptions.update(made.id, {"cancel_at_period_end": True})
    assert (ending.status, ending.cancel_at_period_end) == ("active", True)
    assert ending.cancel_at == ending["items"].data[0].current_period_end
    resumed = api.subscriptions.update(made.id, {"cancel_at_period_end": False})
    assert (resumed.cancel_at, resumed.canceled_at) == (None, None)


def test_a_cancelled_subscription_is_over_and_listed_only_on_request(api: Any, bob: Any, monthly: Any) -> None:
    made = api.subscriptions.create({"customer": bob.id, "items": [{"price": monthly.id}]})
    gone = api.subscriptions.cancel(made.id, {"cancellation_details": {"comment": "too dear"}})
    assert (gone.status, gone.cancellation_details.comment) == ("canceled", "too dear")
    assert api.subscriptions.list({"customer": bob.id}).data == []
    assert [s.id for s in api.subscriptions.list({"customer": bob.id, "status": "all"}).data] == [made.id]
    with pytest.raises(stripe.InvalidRequestError, match="No such subscription"):
        api.subscriptions.cancel(made.id)


def test_an_invoice_is_drafted_finalized_and_paid(api: Any, bob: Any, once: Any) -> None:
    api.invoice_items.create({"customer": bob.id, "amount": 2000, "currency": "usd", "description": "Usage"})
    api.invoice_items.create({"customer": bob.id, "pricing": {"price": once.id}, "quantity": 3})
    draft = api.invoices.create({"customer": bob.id, "pending_invoice_items_behavior": "include"})
    assert (draft.status, draft.total, draft.number) == ("draft", 6500, None)
    opened = api.invoices.finalize_invoice(draft.id)
    assert (opened.status, opened.amount_due) == ("open", 6500)
    paid = api.invoices.pay(draft.id)
    assert (paid.status, paid.amount_paid, paid.amount_remaining) == ("paid", 6500, 0)
    tied = api.invoice_payments.list({"invoice": draft.id}).data[0]
    found = api.invoice_payments.list({"payment": {"type": "payment_intent", **tied.payment.to_dict()}}).data
    assert [payment.invoice for payment in found] == [draft.id]
    with pytest.raises(stripe.InvalidRequestError, match="already paid"):
        api.invoices.pay(draft.id)


def test_an_open_invoice_can_be_paid_on_its_page(api: Any, alice: Any) -> None:
    draft = api.invoices.create({"customer": alice.id, "collection_method": "send_invoice", "days_until_due": 7})
    api.invoice_items.create({"customer": alice.id, "invoice": draft.id, "amount": 700, "currency": "usd"})
    sent = api.invoices.send_invoice(draft.id)
    assert "$7.00" in visit(sent.hosted_invoice_url).text
    assert submit(sent.hosted_invoice_url, "4000 0000 0000 0002").complaints
    asked = submit(sent.hosted_invoice_url, "4000 0025 0000 3155").leads_to
    assert asked.startswith("/3ds/pi_")
    origin = sent.hosted_invoice_url.split("/i/")[0]
    assert submit(origin + asked, answer="complete").leads_to == sent.hosted_invoice_url
    paid = api.invoices.retrieve(sent.id)
    assert (paid.status, paid.attempt_count) == ("paid", 2)
    pdf = requests.get(paid.invoice_pdf, timeout=30)
    assert (pdf.headers["Content-Type"], pdf.content[:5]) == ("application/pdf", b"%PDF-")


def test_an_invoice_can_be_voided_or_given_up(api: Any, bob: Any) -> None:
    for verb, status in (("void_invoice", "void"), ("mark_uncollectible", "uncollectible")):
        draft = api.invoices.create({"customer": bob.id})
        api.invoice_items.create({"customer": bob.id, "invoice": draft.id, "amount": 700, "currency": "usd"})
        api.invoices.finalize_invoice(draft.id)
        assert getattr(api.invoices, verb)(draft.id).status == status


def test_usage_without_a_meter_is_refused(sandbox: Sandbox, product: Any) -> None:
    usage = {"recurring[interval]": "month", "recurring[usage_type]": "metered", "unit_amount": "10"}
    answer = sandbox.post("/v1/prices", {"product": product.id, "currency": "usd", **usage})
    assert "must be backed by a meter" in answer.json()["error"]["message"]
