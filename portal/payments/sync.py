"""Bringing a payment's refunds and disputes to where Stripe is, and what follows from them.

What follows is computed from the sum that is withdrawn now, never from the last event: partial refunds are exact
together, in any order, and what comes back is given back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select, update

from portal import audit, clock, gateway
from portal.customers import locks
from portal.extensions import db
from portal.models import Payment, RefundOrder, Reversal
from portal.payments import telling
from portal.payments.takes import Turn, sources, takes
from portal.purchases import tickets

NEVER_ARRIVED = ("failed", "canceled")


@dataclass(frozen=True)
class Snapshot:
    """A charge with every refund and dispute of it, under its sync's number.

    `source` and `bought` are what it paid for, where the payment is not known to be paid yet.
    """

    mode: str
    number: int
    charge: gateway.Charge
    reversals: Sequence[gateway.Reversal]
    source: str | None = None
    bought: Any = None

    @property
    def ticket(self) -> str:
        """The id under which its syncs are counted."""
        return self.charge.id

    @property
    def disputed(self) -> int:
        """How much the cardholder's bank has taken back as things stand, in minor units."""
        return sum(one.withdrawn for one in self.reversals if one.kind == "dispute")


def sync_reversals(mode: str, charge_id: str) -> Payment | None:
    """Bring a charge's payment, and what it gave, to where its refunds and disputes are. Commits.

    Any number of times. None for a payment that is not ours.
    """
    snapshot = read(mode, charge_id)
    tickets.hold(snapshot)
    payment = apply(snapshot)
    db.session.commit()
    return payment


def sync_payment(payment: Payment) -> None:
    """The same for a payment whose charge may not be known yet. Commits. One made outside of Stripe has none."""
    mode, charge_id, stripe_id = payment.mode, payment.charge_id, payment.stripe_id
    db.session.commit()
    if charge_id is None and stripe_id.startswith("pi_"):
        charge = gateway.of(mode).payment_intent(stripe_id).charge
        charge_id = charge.id if charge else None
    if charge_id:
        sync_reversals(mode, charge_id)
        db.session.refresh(payment)
        db.session.commit()


def read(mode: str, charge_id: str) -> Snapshot:
    """Take a number and fetch; where its payment is not known to be paid yet, fetch what it paid for too."""
    number = tickets.take(mode, charge_id)
    lane = gateway.of(mode)
    charge = lane.charge(charge_id)
    reversals = lane.reversals(charge_id)
    known = find(mode, charge)
    is_paid = known is not None and known.status == "succeeded"
    db.session.commit()
    source = bought = None
    if not is_paid:
        source, bought = _bought(mode, charge)
    return Snapshot(mode, number, charge, reversals, source, bought)


def _bought(mode: str, charge: gateway.Charge) -> tuple[str | None, Any]:
    """What a charge paid for: an order by our own metadata, else an invoice."""
    if charge.payment_intent and "purchase" in charge.metadata:
        return "order", sources["order"].read(mode, charge.payment_intent)
    invoice = gateway.of(mode).invoice_of(charge.paid_by)
    return ("invoice", sources["invoice"].read(mode, invoice)) if invoice else (None, None)


def read_by_reversal(mode: str, stripe_id: str) -> Snapshot | None:
    """The same from a refund's or dispute's id; None where it has no charge."""
    charge_id = gateway.of(mode).reversal(stripe_id).charge
    return read(mode, charge_id) if charge_id else None


def apply(snapshot: Snapshot) -> Payment | None:
    """Write the charge's refunds and disputes, and what follows. None for a payment that is not ours. Flushes."""
    newest = tickets.use(snapshot)
    if snapshot.source is not None:
        sources[snapshot.source].apply(snapshot.bought)
    payment = find(snapshot.mode, snapshot.charge)
    if payment is None or not newest:
        return payment
    locks.lock(payment.customer_id)
    db.session.refresh(payment, with_for_update={"of": Payment, "key_share": True})
    payment.charge_id = snapshot.charge.id
    payment.amount_refunded = snapshot.charge.amount_refunded
    payment.amount_disputed = snapshot.disputed
    payment.receipt_url = snapshot.charge.receipt_url or payment.receipt_url
    payment.synced_at = clock.now()
    for facts in snapshot.reversals:
        _follow(payment, _write(payment, facts))
    db.session.flush()
    return payment


def find(mode: str, charge: gateway.Charge) -> Payment | None:
    """Our row of the payment that a charge is of."""
    query = select(Payment).filter_by(mode=mode).where(Payment.stripe_id.in_({charge.paid_by, charge.id}))
    return db.session.execute(query).scalars().first()


def _write(payment: Payment, facts: gateway.Reversal) -> Turn:
    """One reversal's row, and the sum that is withdrawn with it."""
    query = select(Reversal).filter_by(mode=payment.mode, stripe_id=facts.id)
    row = db.session.execute(query).scalar_one_or_none()
    before, status = (row.withdrawn, row.status) if row else (0, None)
    if row is None:
        row = Reversal(
            customer_id=payment.customer_id,
            mode=payment.mode,
            stripe_id=facts.id,
            kind=facts.kind,
            payment_id=payment.id,
            created_at=facts.created,
        )
        db.session.add(row)
    row.amount, row.status, row.withdrawn, row.synced_at = facts.amount, facts.status, facts.withdrawn, clock.now()
    db.session.flush()
    taken = select(func.coalesce(func.sum(Reversal.withdrawn), 0)).filter_by(payment_id=payment.id)
    payment.amount_withdrawn = min(int(db.session.execute(taken).scalar_one()), payment.amount)
    return Turn(row, before, status)


def _follow(payment: Payment, turn: Turn) -> None:
    row = turn.row
    facts = takes[payment.kind](payment, turn)
    after = {"of": payment.invoice_id or payment.stripe_id, "amount": row.amount, "currency": payment.currency}
    audit.record(
        f"{row.kind}.{row.status}",
        customer_id=payment.customer_id,
        subject=row.stripe_id,
        after=after | {"status": row.status},
        key=f"{row.stripe_id}:{row.status}",
    )
    if row.kind == "refund" and row.status in NEVER_ARRIVED:
        ours = update(RefundOrder).filter_by(mode=row.mode, stripe_id=row.stripe_id, state="done")
        db.session.execute(ours.values(state="failed"))
    if turn.is_news:
        telling.tell(payment, turn, facts)
