"""Credits that were given until a date: spent before all others, and taken back when the date comes.

Only customers who have such credits take this way; `customers.has_grants` says who does.
"""

from datetime import datetime, timedelta

from sqlalchemy import func, select, update

from portal import clock
from portal.credits import entries
from portal.customers import owners
from portal.customers.locks import lock
from portal.errors import InvalidInput
from portal.extensions import db
from portal.models import CreditEntry, CreditGrant, Customer, User
from portal.purchases import customers

NOTE_LENGTH = 255
LONGEST = timedelta(days=36525)  # a date near the end of all dates has no local time everywhere


def holder(email: str, mode: str, reference: str) -> Customer:
    """Who a grant by address is for: who got it under this reference before, else the address's owner. Flushes."""
    entry = (CreditEntry.reason == "grant", CreditEntry.reference == reference)
    mine = (User.email == owners.normalized(email), Customer.mode == mode)
    query = (
        select(Customer).join(User).join(CreditEntry, CreditEntry.customer_id == Customer.id).where(*mine, *entry)
    )
    known = db.session.execute(query.order_by(Customer.id)).scalars().first()
    return known or customers.of(owners.of(email), mode)


def give(customer_id: int, credits: int, expires_at: datetime, reference: str, note: str = "") -> CreditGrant:
    """Give whole credits until `expires_at`; again with the same reference gives the grant that stands. Flushes.

    Debt is paid first, and what paid it never expires. Raises InvalidInput, ReferenceReused.
    """
    if credits <= 0:
        raise InvalidInput("Give at least one credit.", errors={"credits": "not above zero"})
    if expires_at <= clock.now():
        raise InvalidInput("That date has passed.", errors={"expires": "has passed"})
    if expires_at > clock.now() + LONGEST:
        raise InvalidInput("That date is more than a hundred years away.", errors={"expires": "too far away"})
    if len(note) > NOTE_LENGTH:
        raise InvalidInput(f"Keep the note to {NOTE_LENGTH} characters.", errors={"note": "too long"})
    lock(customer_id)
    words = note or "Promotional credits"
    entry = entries.post(
        customer_id, credits, "grant", reference, description=words, expires=expires_at.isoformat()
    )
    known = db.session.execute(select(CreditGrant).filter_by(entry_id=entry.id)).scalar_one_or_none()
    return known or _grant(entry, expires_at, note)


def _grant(entry: CreditEntry, expires_at: datetime, note: str) -> CreditGrant:
    grant = CreditGrant(
        customer_id=entry.customer_id,
        entry_id=entry.id,
        amount=entry.amount,
        remaining=min(entry.amount, max(entry.balance_after, 0)),
        note=note,
        expires_at=expires_at,
        created_at=entry.created_at,
    )
    db.session.add(grant)
    db.session.flush()
    _note_whether_open(entry.customer_id)
    return grant


def still_open(customer_id: int) -> list[CreditGrant]:
    """The grants of which something is left, swept or not, what expires first ahead."""
    query = select(CreditGrant).filter_by(customer_id=customer_id).where(CreditGrant.remaining > 0)
    return list(db.session.execute(query.order_by(CreditGrant.expires_at, CreditGrant.id)).scalars())


def expired_credits(customer_id: int, now: datetime) -> int:
    """Credits of this customer that have expired and were not taken back yet."""
    query = select(func.coalesce(func.sum(CreditGrant.remaining), 0)).filter_by(customer_id=customer_id)
    return int(db.session.execute(query.where(CreditGrant.expires_at <= now)).scalar_one())


def use(customer_id: int, credits: int) -> None:
    """Count a spend of so many credits against what expires first. The customer is locked. Flushes."""
    for grant in still_open(customer_id):
        used = min(grant.remaining, credits)
        grant.remaining -= used
        credits -= used
    _note_whether_open(customer_id)


def cap(customer_id: int) -> None:
    """Bring what may still expire down to the balance: what is above it was spent or taken back. Flushes.

    What was paid for never expires, so the open grants are never more than the balance. The customer is locked.
    """
    balance = db.session.execute(select(Customer.credit_balance).filter_by(id=customer_id)).scalar_one()
    excess = sum(grant.remaining for grant in still_open(customer_id)) - max(balance, 0)
    if excess > 0:
        use(customer_id, excess)


def expire(customer_id: int, now: datetime) -> int:
    """Take back what has expired, an entry for each grant; gives how many. The customer is locked. Flushes."""
    cap(customer_id)
    due = [grant for grant in still_open(customer_id) if grant.expires_at <= now]
    for grant in due:
        _expire(grant)
    _note_whether_open(customer_id)
    return len(due)


def _expire(grant: CreditGrant) -> None:
    # What debt has swallowed meanwhile is gone already: an expiry never makes debt.
    balance = db.session.execute(select(Customer.credit_balance).filter_by(id=grant.customer_id)).scalar_one()
    taken = min(grant.remaining, max(balance, 0))
    if taken:
        words = f"Expired: {grant.note}" if grant.note else "Promotional credits expired"
        entries.post(grant.customer_id, -taken, "expiry", f"grant:{grant.id}", description=words[:255])
    grant.remaining = 0
    db.session.flush()


def sweep() -> int:
    """The tick's chore: expire what is due, a transaction for each customer; gives how many grants. Commits."""
    query = select(CreditGrant.customer_id).where(CreditGrant.remaining > 0, CreditGrant.expires_at <= clock.now())
    customers = db.session.execute(query.distinct()).scalars().all()
    db.session.commit()
    expired = 0
    for customer_id in customers:
        lock(customer_id)
        expired += expire(customer_id, clock.now())
        db.session.commit()
    return expired


def _note_whether_open(customer_id: int) -> None:
    is_open = select(CreditGrant.id).filter_by(customer_id=customer_id).where(CreditGrant.remaining > 0).exists()
    db.session.flush()
    db.session.execute(update(Customer).where(Customer.id == customer_id).values(has_grants=is_open))
