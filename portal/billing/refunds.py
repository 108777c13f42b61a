"""What was refunded of an invoice: its payment's charge says so, the invoice itself does not."""

from dataclasses import dataclass

from sqlalchemy import select, update

from portal import gateway
from portal.credits import reversals
from portal.customers import locks
from portal.extensions import db
from portal.models import Invoice
from portal.purchases import tickets


@dataclass(frozen=True)
class Snapshot:
    """A charge's reversals, and the invoice that it paid, under a number of its own."""

    mode: str
    number: int
    reversals: reversals.Snapshot
    invoice: str | None  # None: it paid no invoice

    @property
    def ticket(self) -> str:
        """The id under which its syncs are counted."""
        return _ticket(self.reversals.charge.id)


def read(mode: str, charge_id: str) -> Snapshot:
    """Take a number and fetch; whose metadata names a purchase paid no invoice."""
    number = tickets.take(mode, _ticket(charge_id))
    found = reversals.read(mode, charge_id)
    charge = found.charge
    invoice = None
    if charge.payment_intent and "purchase" not in charge.metadata:
        invoice = gateway.of(mode).invoice_of(charge.payment_intent)
    return Snapshot(mode, number, found, invoice)


def read_by_reversal(mode: str, stripe_id: str) -> Snapshot | None:
    """The same from a refund's or dispute's id; None where it has no charge."""
    charge_id = gateway.of(mode).reversal(stripe_id).charge
    return read(mode, charge_id) if charge_id else None


def apply(snapshot: Snapshot) -> bool:
    """Take back what was given, and write what was refunded of an invoice. False: neither is ours. Flushes."""
    credited = reversals.apply(snapshot.reversals) is not None
    return _write(snapshot) or credited


def _write(snapshot: Snapshot) -> bool:
    """False for an invoice that isn't ours, or of which nothing was heard yet."""
    charge = snapshot.reversals.charge
    if snapshot.invoice is None:
        return False
    if not tickets.use(snapshot):
        return True
    query = select(Invoice.customer_id).filter_by(mode=snapshot.mode, stripe_id=snapshot.invoice)
    customer_id = db.session.execute(query).scalar_one_or_none()
    if customer_id is None:
        return False
    locks.lock(customer_id)
    row = update(Invoice).filter_by(mode=snapshot.mode, stripe_id=snapshot.invoice)
    taken = {"amount_refunded": charge.amount_refunded, "amount_disputed": snapshot.reversals.disputed}
    db.session.execute(row.values(**taken))
    for facts in snapshot.reversals.reversals:
        reversals.tell_audit(customer_id, facts, snapshot.invoice, charge.currency)
    return True


def _ticket(charge_id: str) -> str:
    """The charge's own numbers count the syncs of its reversals."""
    return f"{charge_id}/invoice"
