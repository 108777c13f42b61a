"""One test purchase as it happens: Stripe's objects, the events about them, and what each changed."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from sqlalchemy import or_, select

from portal.errors import NotFound
from portal.extensions import db
from portal.models import AuditEntry, CreditEntry, Invoice, Payment, Purchase, Reversal, StripeEvent, Subscription
from portal.webhooks import reading

OUR_OWN = "test_"  # what the admin pressed; the chain tells what came of it
Row = TypeVar("Row", CreditEntry, Invoice, Payment, Reversal)


@dataclass(frozen=True)
class Step:
    """Something that happened, and what it changed. Without an event it was read at once, before one came."""

    at: datetime
    event: StripeEvent | None
    changes: list[AuditEntry]


@dataclass(frozen=True)
class Chain:
    """An order and all that followed from it, the oldest first."""

    purchase: Purchase
    subscription: Subscription | None
    invoices: list[Invoice]
    payments: list[Payment]
    reversals: list[Reversal]
    entries: list[CreditEntry]
    events: list[StripeEvent]
    steps: list[Step]

    @property
    def state(self) -> str:
        """Changes whenever the page would: what its script asks for now and then."""
        facts = [
            self.purchase.state,
            self.subscription and self.subscription.status,
            self.purchase.customer.clock_at,
        ]
        rows = [(event.event_id, event.state) for event in self.events]
        counts = [len(self.invoices), len(self.entries), [one.status for one in self.reversals]]
        return hashlib.sha256(repr((facts, rows, counts)).encode()).hexdigest()[:16]


def of(number: str) -> Chain:
    """The chain of a test order. Raises NotFound, for a live one too."""
    query = select(Purchase).filter_by(number=number, mode="test")
    purchase = db.session.execute(query).scalar_one_or_none()
    if purchase is None:
        raise NotFound("There is no such test purchase.")
    owner = {"customer_id": purchase.customer_id, "mode": "test"}
    subscription = db.session.execute(
        select(Subscription).filter_by(stripe_id=purchase.subscription_id, **owner)
    ).scalar_one_or_none()
    invoices = _rows(Invoice, subscription_id=purchase.subscription_id, **owner) if subscription else []
    payments = _rows(Payment, purchase_id=purchase.id)
    reversals = [row for payment in payments for row in _rows(Reversal, payment_id=payment.id)]
    ids = _ids(purchase, invoices, payments, reversals)
    events = _events(purchase, ids)
    return Chain(
        purchase=purchase,
        subscription=subscription,
        invoices=invoices,
        payments=payments,
        reversals=reversals,
        entries=_rows(CreditEntry, purchase_id=purchase.id, customer_id=purchase.customer_id),
        events=events,
        steps=_steps(purchase, ids, events),
    )


def _steps(purchase: Purchase, ids: list[str], events: list[StripeEvent]) -> list[Step]:
    """Events, and changes that no event brought, in the order of time."""
    effects = reading.effects([event.event_id for event in events])
    query = select(AuditEntry).filter_by(customer_id=purchase.customer_id, event_id=None)
    about = query.where(AuditEntry.subject.in_([purchase.number, *ids]), ~AuditEntry.action.startswith(OUR_OWN))
    changes = db.session.execute(about.order_by(AuditEntry.id)).scalars()
    steps = [Step(entry.at, None, [entry]) for entry in changes]
    steps += [Step(event.received_at, event, effects.get(event.event_id, [])) for event in events]
    return sorted(steps, key=lambda step: step.at)


def _rows(model: type[Row], **which: object) -> list[Row]:
    return list(db.session.execute(select(model).filter_by(**which).order_by(model.id)).scalars())


def _ids(
    purchase: Purchase, invoices: list[Invoice], payments: list[Payment], reversals: list[Reversal]
) -> list[str]:
    """What Stripe calls everything of this order."""
    own = [purchase.session_id, purchase.subscription_id, purchase.payment_intent]
    bought = [*(one.stripe_id for one in invoices), *(one.charge_id for one in payments)]
    return [stripe_id for stripe_id in (*own, *bought, *(one.stripe_id for one in reversals)) if stripe_id]


def _events(purchase: Purchase, ids: list[str]) -> list[StripeEvent]:
    """The events about these objects, and those of a payment that was declined: its id came with them alone."""
    named = StripeEvent.payload.contains(purchase.number, autoescape=True)
    customer = purchase.params.get("customer")
    about = or_(StripeEvent.object_id.in_(ids), (StripeEvent.customer_ref == customer) & named)
    query = select(StripeEvent).where(StripeEvent.mode == "test", about).order_by(StripeEvent.id)
    return list(db.session.execute(query).scalars())
