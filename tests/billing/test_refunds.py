"""Invoices that were refunded say so."""

import pytest
from sqlalchemy import select

from portal.models import Invoice, Payment, StripeEvent
from tests.conftest import Person
from tests.support import events
from tests.support.looking import one
from tests.support.world import World


@pytest.mark.parametrize(("part", "words"), [({"amount": 999}, "Partly refunded $9.99"), ({}, "Refunded")])
def test_what_was_refunded_of_an_invoice_shows(here: World, bob: Person, part: dict[str, int], words: str) -> None:
    stripe = here.stripe().v1
    [paid] = stripe.invoice_payments.list({"invoice": one(here, select(Invoice.stripe_id))}).data
    stripe.refunds.create({"payment_intent": str(paid.payment.payment_intent), **part})
    here.flush()
    bob.browser.open("/billing")
    assert words in bob.browser.text
    assert one(here, select(StripeEvent.state).filter_by(type="charge.refunded")) == "processed"


def test_a_disputed_invoice_says_so_until_the_dispute_is_won(here: World, bob: Person) -> None:
    here.control(f"disputes/{one(here, select(Payment.stripe_id))}")
    here.flush()
    for page in ("/billing", "/history"):
        assert "Disputed" in bob.browser.open(page).text
    dispute = here.stripe().v1.disputes.list().data[0].id
    evidence = {"evidence": {"uncategorized_text": "winning_evidence"}, "submit": True}
    here.stripe().v1.disputes.update(dispute, evidence)
    here.flush()
    for page in ("/billing", "/history"):
        assert "Disputed" not in bob.browser.open(page).text


def test_a_refund_that_comes_before_its_invoice_brings_it_along(here: World, alice: Person) -> None:
    mark = events.newest(here)
    alice.browser.choose("pro-monthly")
    alice.browser.pay(follow=False)
    raised = events.since(here, mark)
    [intent] = [event["data"]["object"]["id"] for event in raised if event["type"] == "payment_intent.succeeded"]
    here.stripe().v1.refunds.create({"payment_intent": intent, "amount": 999})
    [refunded] = [event for event in events.since(here, mark) if event["type"] == "charge.refunded"]
    assert events.deliver(here, refunded).json()["status"] == "processed"
    assert one(here, select(Invoice.status)) == "paid"
    assert one(here, select(Payment.amount_withdrawn)) == 999
    for event in raised:
        events.deliver(here, event)
    assert one(here, select(Payment.amount_refunded)) == 999
