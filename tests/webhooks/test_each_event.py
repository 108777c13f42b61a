"""Events that are the only ones to arrive: each one alone makes our copies right."""

from typing import Any

import pytest
from sqlalchemy import select

from portal.models import Invoice, Order, Reversal
from tests.billing.test_plan_change import at_stripe
from tests.conftest import Person
from tests.credits.test_top_ups import keen as keen
from tests.credits.test_top_ups import save_card, tick
from tests.support import events
from tests.support.looking import one
from tests.support.reversals import inquiry
from tests.support.world import World


def hear(here: World, mark: str, kind: str) -> None:
    """Deliver the newest event of a type after the mark alone."""
    here.control("deliveries/discard")
    answer = events.deliver(here, events.of_type(here, mark, kind)[-1])
    assert answer.json()["status"] == "processed", answer.text


def sent_invoice(here: World) -> Any:
    """Send Bob an invoice beside those of his plan."""
    stripe, mine = here.stripe().v1, at_stripe(here)
    made = stripe.invoices.create(
        {
            "customer": str(mine.customer),
            "subscription": mine.id,
            "collection_method": "send_invoice",
            "days_until_due": 30,
            "auto_advance": False,
        }
    )
    stripe.invoice_items.create(
        {"customer": str(mine.customer), "invoice": made.id, "amount": 500, "currency": "usd"}
    )
    stripe.invoices.finalize_invoice(made.id)
    return stripe.invoices.send_invoice(made.id)


@pytest.mark.parametrize("kind", ["invoice.finalized", "invoice.sent", "invoice.updated"])
def test_an_open_invoice_is_known_by_each_of_its_events(here: World, bob: Person, kind: str) -> None:
    mark = events.newest(here)
    made = sent_invoice(here)
    if kind == "invoice.updated":
        here.stripe().v1.invoices.update(made.id, {"metadata": {"note": "Twelve hours of help"}})
    hear(here, mark, kind)
    status, amount = one(here, select(Invoice.status).filter_by(stripe_id=made.id)), made.amount_due
    assert (status, one(here, select(Invoice.amount_due).filter_by(stripe_id=made.id))) == ("open", amount)


def test_a_canceled_payment_ends_its_top_up(here: World, keen: Person) -> None:
    save_card(here, "pm_card_authenticationRequired")
    mark = events.newest(here)
    here.fail(method="POST", path="/v1/payment_intents", next=2, status=200, after=True)  # its answer is lost
    tick(here)
    here.control("failures")
    assert one(here, select(Order.state)) in ("open", "unclear")
    (intent,) = here.stripe().v1.payment_intents.list({"limit": 1}).data
    here.stripe().v1.payment_intents.cancel(intent.id)
    hear(here, mark, "payment_intent.canceled")
    assert one(here, select(Order.state)) == "failed"


def test_an_inquiry_that_becomes_a_dispute_is_followed(here: World, bob: Person, ada: Person) -> None:
    inquiry(here)
    mark = events.newest(here)
    here.stripe().v1.disputes.update(
        one(here, select(Reversal.stripe_id)), {"evidence": {"uncategorized_text": "escalate_inquiry_evidence"}}
    )
    hear(here, mark, "charge.dispute.updated")
    assert one(here, select(Reversal.status)) == "needs_response"
