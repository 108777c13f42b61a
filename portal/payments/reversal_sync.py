"""Syncing a payment's refunds and disputes with Stripe, and applying their consequences.

The consequences are computed from the sum that is withdrawn now, never from the last event. So partial refunds are
exact together, in any order, and a failed refund is undone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select, update

from portal import audit, clock, gateway
from portal.enums import Mode
from portal.extensions import db
from portal.models import Payment, PaymentStatus, RefundRequest, Reversal, ReversalKind, ReversalState
from portal.payments import notifications
from portal.payments.reversal_effects import Turn, sources, takes
from portal.payments.status import withdrawn
from portal.sync import locks, versions


@dataclass(frozen=True)
class PaymentSnapshot:
    """A charge with all of its refunds and disputes, with its sync number.

    `source` and `bought` are what it paid for, if the payment is not known to be paid yet.
    """

    mode: Mode
    number: int
    charge: gateway.Charge
    reversals: Sequence[gateway.Reversal]
    source: str | None = None
    bought: Any = None

    @property
    def ticket(self) -> str:
        """Return the id that its sync numbers belong to."""
        return self.charge.id

    @property
    def disputed(self) -> int:
        """Return how much the cardholder's bank has withdrawn now, in minor units."""
        return sum(withdrawn(one) for one in self.reversals if one.kind == ReversalKind.DISPUTE)


def sync_reversals(mode: Mode, charge_id: str) -> Payment | None:
    """Sync a charge's payment, and what it granted, with its refunds and disputes. Commits.

    It can be repeated. Returns None for a payment that is not ours.
    """
    snapshot = read(mode, charge_id)
    versions.hold(snapshot)
    payment = apply(snapshot)
    db.session.commit()
    return payment


def sync_payment(payment: Payment) -> None:
    """Do the same for a payment whose charge may be unknown. Commits. A payment made outside of Stripe has no
    charge.
    """
    mode, charge_id, stripe_id = payment.mode, payment.charge_id, payment.stripe_id
    db.session.commit()
    if charge_id is None and stripe_id.startswith("pi_"):
        charge = gateway.of(mode).payment_intent(stripe_id).charge
        charge_id = charge.id if charge else None
    if charge_id:
        sync_reversals(mode, charge_id)
        db.session.refresh(payment)
        db.session.commit()


def read(mode: Mode, charge_id: str) -> PaymentSnapshot:
    """Take a number and fetch the charge, and what it paid for if its payment is not known to be paid yet."""
    number = versions.take(mode, charge_id)
    lane = gateway.of(mode)
    charge = lane.charge(charge_id)
    reversals = lane.reversals(charge_id)
    known = find(mode, charge)
    is_paid = known is not None and known.status == PaymentStatus.SUCCEEDED
    db.session.commit()
    source = bought = None
    if not is_paid:
        source, bought = _bought(mode, charge)
    return PaymentSnapshot(mode, number, charge, reversals, source, bought)


def _bought(mode: Mode, charge: gateway.Charge) -> tuple[str | None, Any]:
    """Return what a charge paid for: an order, found by our own metadata, else an invoice."""
    if charge.payment_intent and "purchase" in charge.metadata:
        return "order", sources["order"].read(mode, charge.payment_intent)
    invoice = gateway.of(mode).invoice_of(charge)
    return ("invoice", sources["invoice"].read(mode, invoice)) if invoice else (None, None)


def read_by_reversal(mode: Mode, stripe_id: str) -> PaymentSnapshot | None:
    """Do the same for the id of a refund or dispute; return None if it has no charge."""
    charge_id = gateway.of(mode).reversal(stripe_id).charge
    return read(mode, charge_id) if charge_id else None


def apply(snapshot: PaymentSnapshot) -> Payment | None:
    """Write the charge's refunds and disputes, and their consequences. Returns None for a payment that is not
    ours. Flushes.
    """
    newest = versions.use(snapshot)
    if snapshot.source is not None:
        sources[snapshot.source].apply(snapshot.bought)
    payment = find(snapshot.mode, snapshot.charge)
    if payment is None or not newest:
        return payment
    owner = select(Payment.customer_id).filter_by(id=payment.id)
    locks.lock_owner(lambda: db.session.execute(owner).scalar_one())
    db.session.refresh(payment, with_for_update={"of": Payment, "key_share": True})
    payment.charge_id = snapshot.charge.id
    payment.amount_refunded = snapshot.charge.amount_refunded
    payment.amount_disputed = snapshot.disputed
    payment.receipt_url = snapshot.charge.receipt_url or payment.receipt_url
    payment.synced_at = clock.now()
    for facts in snapshot.reversals:
        _follow(payment, _write(payment, facts))
    for facts in _made_again(snapshot.reversals):
        notifications.tell_made_again(payment, facts)
    db.session.flush()
    return payment


def find(mode: Mode, charge: gateway.Charge) -> Payment | None:
    """Return our row of the charge's payment."""
    query = select(Payment).filter_by(mode=mode).where(Payment.stripe_id.in_({charge.paid_by, charge.id}))
    return db.session.execute(query).scalars().first()


def _made_again(reversals: Sequence[gateway.Reversal]) -> list[gateway.Reversal]:
    """The refunds beyond the first that Stripe made of one request of ours."""
    asked: set[str] = set()
    again = []
    for one in reversals:
        request = one.metadata.get("refund_order")
        if one.kind != ReversalKind.REFUND or not request or ReversalState(one.status).never_arrived:
            continue
        if request in asked:
            again.append(one)
        asked.add(request)
    return again


def _write(payment: Payment, facts: gateway.Reversal) -> Turn:
    """Write one reversal's row, and the resulting withdrawn sum."""
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
    row.amount, row.status = facts.amount, ReversalState(facts.status)
    row.withdrawn, row.synced_at = withdrawn(facts), clock.now()
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
    if row.kind == ReversalKind.REFUND and row.status.never_arrived:
        ours = update(RefundRequest).filter_by(mode=row.mode, stripe_id=row.stripe_id, state="done")
        db.session.execute(ours.values(state="failed"))
    if turn.is_news:
        notifications.tell(payment, turn, facts)
