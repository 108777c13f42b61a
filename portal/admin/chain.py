"""One test purchase as it happens: Stripe's objects, the events about them, and what each changed."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from sqlalchemy import or_, select

from portal.errors import NotFound
from portal.extensions import db
from portal.models import AuditEntry, CreditEntry, Invoice, Payment, Purchase, Reversal, StripeEvent, Subscription
from portal.webhooks import hints

OUR_OWN = "test_"  # what the admin pressed; the chain tells what came of it
Row = TypeVar("Row", CreditEntry, Invoice, Payment, Reversal)


@dataclass(frozen=True)
class Step:
    """Something that happened, and what it changed. Without an event it was read at once, before one came."""

    at: datetime
    event: StripeEvent | None
    changes: list[AuditEntry]

    @property
    def clock_at(self) -> datetime | None:
        """The time to which this took the customer's test clock; the time of everything else is the wall's."""
        if self.event is None or self.event.type != "test_helpers.test_clock.ready":
            return None
        return datetime.fromtimestamp(hints.thing(self.event.payload)["frozen_time"], UTC)


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
    def is_refundable(self) -> bool:
        """Whether a part of what it began with was paid, and not given back or disputed yet."""
        paid = [one for one in self.payments if one.status == "succeeded"]
        return any(one.amount > one.amount_refunded and not one.amount_disputed for one in paid)

    def refunded(self, invoice: Invoice) -> int:
        """What was given back of an invoice, in minor units."""
        return sum(one.amount_refunded for one in self.payments if one.invoice_id == invoice.stripe_id)

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
    for invoice in invoices:
        payments += _rows(Payment, mode="test", invoice_id=invoice.stripe_id)
    reversals = [row for payment in payments for row in _rows(Reversal, payment_id=payment.id)]
    audited = _audited(purchase)
    ids = _ids(purchase, invoices, payments, reversals, audited)
    events = _events(purchase, ids)
    entries = _rows(CreditEntry, purchase_id=purchase.id, customer_id=purchase.customer_id)
    return Chain(
        purchase=purchase,
        subscription=subscription,
        invoices=invoices,
        payments=payments,
        reversals=reversals,
        entries=entries,
        events=events,
        steps=_steps([purchase.number, *ids], entries, events, audited),
    )


def _audited(purchase: Purchase) -> list[AuditEntry]:
    """What was changed of this customer's since the order."""
    query = select(AuditEntry).filter_by(customer_id=purchase.customer_id)
    return list(
        db.session.execute(query.where(AuditEntry.at >= purchase.created_at).order_by(AuditEntry.id)).scalars()
    )


def _steps(
    ids: list[str], entries: list[CreditEntry], events: list[StripeEvent], audited: list[AuditEntry]
) -> list[Step]:
    """Events, and changes that no event brought, in the order of time."""
    effects: dict[str | None, list[AuditEntry]] = {}
    for entry in audited:
        effects.setdefault(entry.event_id, []).append(entry)
    lines = [str(entry.id) for entry in entries]  # of the ledger, which has ids of its own
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
    purchase: Purchase,
    invoices: list[Invoice],
    payments: list[Payment],
    reversals: list[Reversal],
    audited: list[AuditEntry],
) -> list[str]:
    """What Stripe calls everything of this order."""
    own = [purchase.session_id, purchase.subscription_id, purchase.payment_intent, purchase.customer.test_clock]
    bought: list[str | None] = [*(one.stripe_id for one in invoices), *(one.stripe_id for one in payments)]
    bought += [*(one.charge_id for one in payments), *(one.stripe_id for one in reversals)]
    found = [stripe_id for stripe_id in (*own, *bought) if stripe_id]
    return found + [entry.subject for entry in audited if entry.after.get("of") in found]


def _events(purchase: Purchase, ids: list[str]) -> list[StripeEvent]:
    """The events about these objects, and those of a payment that was declined: its id came with them alone.

    A clock that earlier purchases live on has an older past, which is theirs.
    """
    named = StripeEvent.payload.contains(purchase.number, autoescape=True)
    customer = purchase.params.get("customer")
    about = or_(StripeEvent.object_id.in_(ids), (StripeEvent.customer_ref == customer) & named)
    since = StripeEvent.received_at >= purchase.created_at
    query = select(StripeEvent).where(StripeEvent.mode == "test", since, about).order_by(StripeEvent.id)
    return list(db.session.execute(query).scalars())
