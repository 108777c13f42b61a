"""The timeline of a test order: Stripe's objects, their events, and what each changed."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from sqlalchemy import or_, select

from portal.enums import Mode
from portal.errors import NotFound
from portal.extensions import db
from portal.models import (
    AuditEntry,
    CreditEntry,
    Invoice,
    Order,
    Payment,
    PaymentStatus,
    Reversal,
    StripeEvent,
    Subscription,
)
from portal.webhooks import hints

OUR_OWN = "test_"  # the admin's own actions; the timeline shows their results
Row = TypeVar("Row", CreditEntry, Invoice, Payment, Reversal)


@dataclass(frozen=True)
class Step:
    """Something that happened, and what it changed. Without an event it was read directly, before one arrived."""

    at: datetime
    event: StripeEvent | None
    changes: list[AuditEntry]

    @property
    def clock_at(self) -> datetime | None:
        """Return the time to which this moved the customer's test clock. All other times are real."""
        if self.event is None or not self.event.payload or self.event.type != "test_helpers.test_clock.ready":
            return None
        return datetime.fromtimestamp(hints.thing(self.event.payload)["frozen_time"], UTC)


@dataclass(frozen=True)
class Chain:
    """An order and everything that followed from it, oldest first."""

    order: Order
    subscription: Subscription | None
    invoices: list[Invoice]
    payments: list[Payment]
    reversals: list[Reversal]
    entries: list[CreditEntry]
    events: list[StripeEvent]
    steps: list[Step]

    @property
    def is_refundable(self) -> bool:
        """Return whether part of its payment has not been refunded or disputed yet."""
        paid = [one for one in self.payments if one.status == PaymentStatus.SUCCEEDED]
        return any(one.amount > one.amount_refunded and not one.amount_disputed for one in paid)

    def refunded(self, invoice: Invoice) -> int:
        """Return the refunded amount of an invoice, in minor units."""
        return sum(one.amount_refunded for one in self.payments if one.invoice_id == invoice.stripe_id)

    @property
    def state(self) -> str:
        """Return a value that changes whenever the page would, for its script to poll."""
        facts = [
            self.order.state,
            self.subscription and self.subscription.status,
            self.order.customer.clock_at,
        ]
        rows = [(event.event_id, event.state) for event in self.events]
        counts = [len(self.invoices), len(self.entries), [one.status for one in self.reversals]]
        return hashlib.sha256(repr((facts, rows, counts)).encode()).hexdigest()[:16]


def of(number: str) -> Chain:
    """Return the timeline of a test order. Raises NotFound, also for a live one."""
    query = select(Order).filter_by(number=number, mode=Mode.TEST)
    order = db.session.execute(query).scalar_one_or_none()
    if order is None:
        raise NotFound("There is no such test purchase.")
    owner = {"customer_id": order.customer_id, "mode": Mode.TEST}
    subscription = db.session.execute(
        select(Subscription).filter_by(stripe_id=order.subscription_id, **owner)
    ).scalar_one_or_none()
    invoices = _rows(Invoice, subscription_id=order.subscription_id, **owner) if subscription else []
    payments = _rows(Payment, order_id=order.id)
    for invoice in invoices:
        payments += _rows(Payment, mode=Mode.TEST, invoice_id=invoice.stripe_id)
    reversals = [row for payment in payments for row in _rows(Reversal, payment_id=payment.id)]
    audited = _audited(order)
    ids = _ids(order, invoices, payments, reversals, audited)
    events = _events(order, ids)
    entries = _rows(CreditEntry, order_id=order.id, customer_id=order.customer_id)
    return Chain(
        order=order,
        subscription=subscription,
        invoices=invoices,
        payments=payments,
        reversals=reversals,
        entries=entries,
        events=events,
        steps=_steps([order.number, *ids], entries, events, audited),
    )


def _audited(order: Order) -> list[AuditEntry]:
    """List the customer's audit entries since the order."""
    query = select(AuditEntry).filter_by(customer_id=order.customer_id)
    return list(
        db.session.execute(query.where(AuditEntry.at >= order.created_at).order_by(AuditEntry.id)).scalars()
    )


def _steps(
    ids: list[str], entries: list[CreditEntry], events: list[StripeEvent], audited: list[AuditEntry]
) -> list[Step]:
    """List events, and changes without an event, by time."""
    effects: dict[str | None, list[AuditEntry]] = {}
    for entry in audited:
        effects.setdefault(entry.event_id, []).append(entry)
    lines = [str(entry.id) for entry in entries]  # of the ledger, which has its own ids
    ours = [
        one
        for one in effects.get(None, [])
        if one.subject in (lines if one.action.startswith("credits.") else ids)
        and not one.action.startswith(OUR_OWN)
    ]
    steps = [Step(entry.at, None, [entry]) for entry in ours]
    steps += [Step(event.received_at, event, effects.get(event.event_id, [])) for event in events]
    return sorted(steps, key=lambda step: step.at)


def _rows(model: type[Row], **which: object) -> list[Row]:
    return list(db.session.execute(select(model).filter_by(**which).order_by(model.id)).scalars())


def _ids(
    order: Order,
    invoices: list[Invoice],
    payments: list[Payment],
    reversals: list[Reversal],
    audited: list[AuditEntry],
) -> list[str]:
    """List the Stripe ids of all objects of this order."""
    own = [order.session_id, order.subscription_id, order.payment_intent, order.customer.test_clock]
    bought: list[str | None] = [*(one.stripe_id for one in invoices), *(one.stripe_id for one in payments)]
    bought += [*(one.charge_id for one in payments), *(one.stripe_id for one in reversals)]
    found = [stripe_id for stripe_id in (*own, *bought) if stripe_id]
    return found + [entry.subject for entry in audited if entry.after.get("of") in found]


def _events(order: Order, ids: list[str]) -> list[StripeEvent]:
    """List the events about these objects, and those of a declined payment, whose id only they contain.

    A clock that earlier orders used has older events, which are theirs.
    """
    named = StripeEvent.payload.contains(order.number, autoescape=True)
    customer = order.params.get("customer")
    about = or_(StripeEvent.object_id.in_(ids), (StripeEvent.customer_ref == customer) & named)
    since = StripeEvent.received_at >= order.created_at
    query = select(StripeEvent).where(StripeEvent.mode == Mode.TEST, since, about).order_by(StripeEvent.id)
    return list(db.session.execute(query).scalars())
