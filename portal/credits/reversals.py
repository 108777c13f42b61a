"""Refunds and disputes: the credits that a payment gave are taken back in proportion, and put back where it fails.

What a payment has to give back follows from all of its reversals together, so partial ones are exact in any
order: after each, the ledger holds what the whole says.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import structlog
from sqlalchemy import func, or_, select

from portal import audit, clock, gateway, mail, money
from portal.credits import ledger, payments
from portal.customers import locks
from portal.extensions import db
from portal.models import CreditEntry, Customer, Payment, Reversal
from portal.purchases import tickets

log = structlog.get_logger()

TAKING_BACK = ("refund", "dispute", "reinstatement")


@dataclass(frozen=True)
class Snapshot:
    """A charge with every refund and dispute of it, under its sync's number.

    `purchase` is what it paid for, where the refund is heard of before that.
    """

    mode: str
    number: int
    charge: gateway.Charge
    reversals: Sequence[gateway.Reversal]
    purchase: payments.Snapshot | None = None

    @property
    def ticket(self) -> str:
        """The id under which its syncs are counted."""
        return self.charge.id

    @property
    def disputed(self) -> int:
        """How much the cardholder's bank has taken back as things stand, in minor units."""
        return sum(one.withdrawn for one in self.reversals if one.kind == "dispute")


def sync_reversals(mode: str, charge_id: str) -> Payment | None:
    """Bring the credits of a charge to where its refunds and disputes are. Any number of times; commits.

    None for a payment that bought no credits.
    """
    snapshot = read(mode, charge_id)
    tickets.hold(snapshot)
    payment = apply(snapshot)
    db.session.commit()
    return payment


def read(mode: str, charge_id: str) -> Snapshot:
    """Take a number and fetch; where its purchase is not known to be paid yet, fetch that too."""
    number = tickets.take(mode, charge_id)
    lane = gateway.of(mode)
    charge = lane.charge(charge_id)
    reversals = lane.reversals(charge_id)
    known = _payment(mode, charge)
    db.session.commit()
    purchase = None
    is_paid = known is not None and known.status == "succeeded"
    if not is_paid and charge.payment_intent and "purchase" in charge.metadata:
        purchase = payments.read(mode, charge.payment_intent)
    return Snapshot(mode, number, charge, reversals, purchase)


def read_by_reversal(mode: str, stripe_id: str) -> Snapshot | None:
    """The same from a refund's or dispute's id; None where it has no charge."""
    charge_id = gateway.of(mode).reversal(stripe_id).charge
    return read(mode, charge_id) if charge_id else None


def apply(snapshot: Snapshot) -> Payment | None:
    """Write the charge's reversals and post what they change. Flushes. None where it bought no credits."""
    if snapshot.purchase is not None:
        payments.apply(snapshot.purchase)
    payment = _payment(snapshot.mode, snapshot.charge)
    if payment is None:
        return None
    newest = tickets.use(snapshot)
    locks.lock(payment.customer_id)
    db.session.refresh(payment, with_for_update={"of": Payment, "key_share": True})
    if not newest:
        return payment
    payment.charge_id = snapshot.charge.id
    payment.amount_refunded = snapshot.charge.amount_refunded
    payment.amount_disputed = snapshot.disputed
    payment.receipt_url = snapshot.charge.receipt_url
    payment.synced_at = clock.now()
    for facts in snapshot.reversals:
        _write(payment, facts)
    db.session.flush()
    return payment


def owed(payment: Payment, withdrawn: int) -> int:
    """How many credits a payment has to give back, of which so many minor units were withdrawn in all."""
    return money.round_half_up(Decimal(min(withdrawn, payment.amount) * payment.credits) / payment.amount)


def withdrawn(reversal: Reversal) -> int:
    """How much of the payment a stored reversal takes back, in minor units of its currency."""
    return gateway.Reversal(
        reversal.stripe_id, reversal.kind, None, reversal.amount, reversal.status, reversal.created_at
    ).withdrawn


def _write(payment: Payment, facts: gateway.Reversal) -> None:
    """One reversal's row; where it takes more or less than before, the difference is posted."""
    query = select(Reversal).filter_by(mode=payment.mode, stripe_id=facts.id)
    row = db.session.execute(query).scalar_one_or_none()
    before = withdrawn(row) if row else 0
    tell_audit(payment.customer_id, facts, payment.payment_intent, payment.currency)
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
    row.amount, row.status, row.synced_at = facts.amount, facts.status, clock.now()
    db.session.flush()
    if withdrawn(row) != before:
        _post(payment, row)


def tell_audit(customer_id: int, facts: gateway.Reversal, paid: str, currency: str) -> None:
    """Write where a refund or dispute stands to the audit log, once a state; `paid` is what it is of. Flushes."""
    after = {"of": paid, "amount": facts.amount, "currency": currency, "status": facts.status}
    key = f"{facts.id}:{facts.status}"
    audit.record(f"{facts.kind}.{facts.status}", customer_id=customer_id, subject=facts.id, after=after, key=key)


def _post(payment: Payment, row: Reversal) -> None:
    rows = db.session.execute(select(Reversal).filter_by(payment_id=payment.id)).scalars()
    change = _taken(payment) - owed(payment, sum(withdrawn(one) for one in rows))
    if change == 0:  # an earlier reversal has taken, or still takes, all of it
        return
    reason = row.kind if change < 0 else "reinstatement"
    entry = ledger.post(
        payment.customer_id,
        change,
        reason,
        _reference(payment, reason, row.stripe_id),
        description=WORDS[row.kind, change < 0],
        purchase_id=payment.purchase_id,
    )
    log.info(
        "credits_reversed", reason=reason, credits=change, reversal=row.stripe_id, payment=payment.payment_intent
    )
    if payment.mode == "live":
        _tell(payment, row, entry)


WORDS = {
    ("refund", True): "Refunded payment",
    ("refund", False): "Refund that failed",
    ("dispute", True): "Disputed payment",
    ("dispute", False): "Dispute that was won",
}


def _taken(payment: Payment) -> int:
    """How many of the payment's credits the ledger has taken back so far."""
    query = select(func.coalesce(func.sum(CreditEntry.amount), 0)).where(
        CreditEntry.customer_id == payment.customer_id,
        CreditEntry.purchase_id == payment.purchase_id,
        CreditEntry.reason.in_(TAKING_BACK),
    )
    return -int(db.session.execute(query).scalar_one())


def _reference(payment: Payment, reason: str, stripe_id: str) -> str:
    """The reversal's id; should it turn a second time, which Stripe rarely lets it, with a number: `dp_1:2`."""
    query = select(func.count()).where(
        CreditEntry.customer_id == payment.customer_id,
        CreditEntry.reason == reason,
        or_(
            CreditEntry.reference == stripe_id, CreditEntry.reference.startswith(f"{stripe_id}:", autoescape=True)
        ),
    )
    earlier = db.session.execute(query).scalar_one()
    return f"{stripe_id}:{earlier + 1}" if earlier else stripe_id


def _tell(payment: Payment, row: Reversal, entry: CreditEntry) -> None:
    customer = db.session.get(Customer, payment.customer_id)
    assert customer is not None
    mail.tell(
        customer,
        "credits_reversed",
        f"credits-reversed:{entry.reason}:{entry.reference}",
        what=row.kind,
        credits=entry.amount,
        balance=entry.balance_after,
        amount=row.amount,
        currency=payment.currency,
        page=mail.external("credits.index"),
    )


def _payment(mode: str, charge: gateway.Charge) -> Payment | None:
    if charge.payment_intent is None:
        return None
    query = select(Payment).filter_by(mode=mode, payment_intent=charge.payment_intent)
    return db.session.execute(query).scalar_one_or_none()
