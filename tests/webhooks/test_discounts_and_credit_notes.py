"""Discounts and credit notes name what they change: the subscription, the invoice. Webhooks are sent by hand."""

from typing import Any

import pytest
from sqlalchemy import select

from portal.extensions import db
from portal.models import Invoice, StripeEvent, Subscription
from tests.conftest import Person
from tests.support import events
from tests.support.world import World


@pytest.fixture
def subscribed(here: World, alice: Person) -> str:
    """Alice's subscription, known to the portal."""
    alice.browser.choose("pro-monthly")
    alice.browser.pay()
    here.flush()
    with here.app.app_context():
        return str(db.session.execute(select(Subscription.stripe_id)).scalar_one())


def deliver(here: World, mark: str, kind: str) -> dict[str, Any]:
    """Deliver only the event of this type after the mark, and check that it was processed."""
    (event,) = events.of_type(here, mark, kind)
    answer = events.deliver(here, event)
    assert answer.json()["status"] == "processed", answer.text
    return dict(event["data"]["object"])


def discounts(here: World) -> list[str]:
    """Return the discounts of the subscription that the portal knows."""
    with here.app.app_context():
        terms = db.session.execute(select(Subscription.terms)).scalar_one()
        return list(terms.get("discounts", []))


def test_a_discount_is_read_with_its_subscription(here: World, subscribed: str) -> None:
    stripe = here.stripe().v1
    coupon = stripe.coupons.create({"percent_off": 50, "duration": "forever"})
    mark = events.newest(here)
    stripe.subscriptions.update(subscribed, {"discounts": [{"coupon": coupon.id}]})
    deliver(here, mark, "customer.discount.created")
    assert len(discounts(here)) == 1
    stripe.subscriptions.update(subscribed, {"discounts": ""})
    deliver(here, mark, "customer.discount.deleted")
    assert discounts(here) == []


def test_a_credit_note_is_read_with_its_invoice(here: World, subscribed: str) -> None:
    stripe = here.stripe().v1
    customer = stripe.subscriptions.retrieve(subscribed).customer
    draft = stripe.invoices.create(
        {"customer": customer, "collection_method": "send_invoice", "days_until_due": 7}
    )
    item = {"customer": customer, "invoice": draft.id, "amount": 900, "currency": "usd"}
    stripe.invoice_items.create(item)
    invoice = stripe.invoices.finalize_invoice(draft.id, {"auto_advance": False})
    mark = events.newest(here)
    stripe.credit_notes.create({"invoice": invoice.id, "amount": 900})
    note = deliver(here, mark, "credit_note.created")
    with here.app.app_context():
        known = select(Invoice.status).filter_by(stripe_id=note["invoice"])
        assert db.session.execute(known).scalar_one() == "paid"


def test_a_discount_on_no_subscription_concerns_nobody(here: World, subscribed: str) -> None:
    stripe = here.stripe().v1
    coupon = stripe.coupons.create({"percent_off": 50, "duration": "forever"})
    mark = events.newest(here)
    stripe.subscriptions.update(subscribed, {"discounts": [{"coupon": coupon.id}]})
    (event,) = events.of_type(here, mark, "customer.discount.created")
    event |= {"id": "evt_of_customer"}
    event["data"]["object"] |= {"subscription": None}
    assert events.deliver(here, event).json()["status"] == "ignored"
    with here.app.app_context():
        assert (
            db.session.execute(select(StripeEvent.state).filter_by(event_id=event["id"])).scalar_one() == "ignored"
        )
