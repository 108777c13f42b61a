"""Bringing a payment intent's purchase to where the payment is: by its session, or, without one, by itself."""

from dataclasses import dataclass

import structlog
from sqlalchemy import or_, select

from portal import gateway
from portal.credits import purchasing
from portal.customers import locks
from portal.extensions import db
from portal.models import Purchase
from portal.payments import record
from portal.purchases import customers, fulfilment, standing, tickets
from portal.purchases.fulfilment import Mismatch

log = structlog.get_logger()


@dataclass(frozen=True)
class Snapshot:
    """A payment intent under its sync's number, and the session of the checkout that it was paid in."""

    mode: str
    number: int
    intent: gateway.PaymentIntent
    session: fulfilment.Snapshot | None = None

    @property
    def ticket(self) -> str:
        """The id under which its syncs are counted."""
        return self.intent.id


def sync(mode: str, intent_id: str) -> Purchase | None:
    """Bring the purchase of a payment up to date. Any number of times; commits. None where it isn't ours."""
    snapshot = read(mode, intent_id)
    tickets.hold(snapshot)
    purchase = apply(snapshot)
    db.session.commit()
    return purchase


def read(mode: str, intent_id: str) -> Snapshot:
    """Take a number and fetch the payment, and the session where one is behind it."""
    number = tickets.take(mode, intent_id)
    intent = gateway.of(mode).payment_intent(intent_id)
    purchase = find(mode, intent)
    db.session.commit()
    if purchase is None or purchase.session_id is None:
        return Snapshot(mode, number, intent)
    return Snapshot(mode, number, intent, fulfilment.read(mode, purchase.session_id))


def apply(snapshot: Snapshot) -> Purchase | None:
    """Write what it says, a failure too. Flushes. None for a payment that is no order's. Raises Mismatch."""
    if snapshot.session is not None:
        purchase = fulfilment.apply(snapshot.session)
        if purchase is not None and purchase.interval is None and tickets.use(snapshot):
            record.of_order(purchase, snapshot.intent)
        return purchase
    purchase = find(snapshot.mode, snapshot.intent)
    if purchase is None or not purchase.off_session:
        return purchase
    newest = tickets.use(snapshot)
    locks.lock(purchase.customer_id)
    db.session.refresh(purchase, with_for_update={"of": Purchase, "key_share": True})
    if newest:
        _settle(purchase, snapshot.intent)
    return purchase


def find(mode: str, intent: gateway.PaymentIntent) -> Purchase | None:
    """The order behind a payment: by its id, else by our own metadata."""
    named = intent.metadata.get("purchase")
    query = select(Purchase).where(
        Purchase.mode == mode, or_(Purchase.payment_intent == intent.id, Purchase.number == named)
    )
    return db.session.execute(query).scalars().first()


def is_customers(snapshot: Snapshot) -> bool:
    """Whether a customer of ours paid, be it for something else than credits."""
    return customers.by_stripe_id(snapshot.mode, snapshot.intent.customer) is not None


def _settle(purchase: Purchase, intent: gateway.PaymentIntent) -> None:
    """Charged off session there is none to ask: the payment alone says whether it is paid."""
    _compare(purchase, intent)
    purchase.payment_intent = intent.id
    if intent.status == "succeeded":
        standing.move(purchase, "paid")
        purchase.completed_at = purchase.paid_at
        purchasing.give(purchase, purchasing.Bought(intent))
    else:
        if intent.has_failed and purchase.state in ("open", "unclear"):
            standing.move(purchase, "failed", intent.failure)
        record.of_order(purchase, intent)
    db.session.flush()


def _compare(purchase: Purchase, intent: gateway.PaymentIntent) -> None:
    payer = customers.by_stripe_id(purchase.mode, intent.customer)
    checks = {
        "payment": purchase.payment_intent in (None, intent.id),
        "customer": payer is not None and payer.id == purchase.customer_id,
        "amount": intent.amount == purchase.amount,
        "currency": intent.currency == purchase.currency,
    }
    wrong = [name for name, fits in checks.items() if not fits]
    if wrong:
        log.error("purchase_mismatch", order=purchase.number, payment=intent.id, differs=wrong)
        raise Mismatch(f"order {purchase.number} and {intent.id} differ in {', '.join(wrong)}")
