"""Credits that expire. They are spent before all others, and removed on their date.

Only customers with such credits take this path; `customers.has_grants` marks them.
"""

from datetime import datetime, timedelta

from sqlalchemy import exists, func, select, update

from portal import clock
from portal.credits import entries
from portal.customers import owners, stripe_customers
from portal.enums import Mode
from portal.errors import InvalidInput
from portal.extensions import db
from portal.models import CreditEntry, CreditGrant, Customer, User
from portal.sync.locks import lock

NOTE_LENGTH = 255
AT_ONCE = 500  # grants that one run expires
LONGEST = timedelta(days=36525)  # a date near the maximum has no local time in some zones


def holder(email: str, mode: Mode, reference: str) -> Customer:
    """Return the recipient of a grant by address: whoever received this reference before, else the address's
    owner. Flushes.
    """
    entry = (CreditEntry.reason == "grant", CreditEntry.reference == reference)
    mine = (User.email == owners.normalized(email), Customer.mode == mode)
    query = (
        select(Customer).join(User).join(CreditEntry, CreditEntry.customer_id == Customer.id).where(*mine, *entry)
    )
    known = db.session.execute(query.order_by(Customer.id)).scalars().first()
    return known or stripe_customers.of(owners.of(email), mode)


def give(
    customer_id: int,
    credits: int,
    expires_at: datetime,
    reference: str,
    note: str = "",
    *,
    now: datetime | None = None,
) -> CreditGrant:
    """Grant whole credits until `expires_at`. Repeating a reference returns the existing grant. Flushes.

    Debt is paid first, and credits that paid debt never expire. `now` is the customer's clock.
    Raises InvalidInput, ReferenceReused.
    """
    now = clock.now(now)
    if credits <= 0:
        raise InvalidInput("Give at least one credit.", errors={"credits": "not above zero"})
    if expires_at <= now:
        raise InvalidInput("That date has passed.", errors={"expires": "has passed"})
    if expires_at > now + LONGEST:
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
    """List the grants that are not used up, including expired ones, in order of expiry."""
    query = select(CreditGrant).filter_by(customer_id=customer_id).where(CreditGrant.remaining > 0)
    return list(db.session.execute(query.order_by(CreditGrant.expires_at, CreditGrant.id)).scalars())


def expired_credits(customer_id: int, now: datetime) -> int:
    """Return the number of this customer's expired credits that have not been removed yet."""
    query = select(func.coalesce(func.sum(CreditGrant.remaining), 0)).filter_by(customer_id=customer_id)
    return int(db.session.execute(query.where(CreditGrant.expires_at <= now)).scalar_one())


def use(customer_id: int, credits: int) -> None:
    """Count spent credits against the grants that expire first. The customer is locked. Flushes."""
    for grant in still_open(customer_id):
        used = min(grant.remaining, credits)
        grant.remaining -= used
        credits -= used
    _note_whether_open(customer_id)


def keep(grant: CreditGrant, remaining: int) -> None:
    """Set how much of a grant is left to expire. The customer is locked. Flushes."""
    grant.remaining, grant.warn_at = remaining, None
    _note_whether_open(grant.customer_id)


def move(source_id: int, target_id: int) -> dict[int, int]:
    """Move the open grants of a customer to another, each with an entry of its own; return the new ids. Flushes.

    An entry of the source, which the caller posts, takes the same credits away. Both customers are locked.
    """
    moved: dict[int, int] = {}
    for grant in still_open(source_id):
        entry = entries.post(
            target_id, grant.remaining, "adjustment", f"moved:{source_id}:{grant.id}", description=grant.note
        )
        made = _grant(entry, grant.expires_at, grant.note)
        made.warn_at = grant.warn_at
        moved[grant.id] = made.id
        keep(grant, 0)
    return moved


def cap(customer_id: int) -> None:
    """Cap what can still expire at the balance, because the rest was spent or reversed. Flushes.

    Paid credits never expire, so open grants are never more than the balance. The customer is locked.
    """
    balance = db.session.execute(select(Customer.credit_balance).filter_by(id=customer_id)).scalar_one()
    excess = sum(grant.remaining for grant in still_open(customer_id)) - max(balance, 0)
    if excess > 0:
        use(customer_id, excess)


def expire(customer_id: int, now: datetime) -> int:
    """Remove expired credits with an entry for each grant, and return the number of credits. The customer is
    locked. Flushes.
    """
    cap(customer_id)
    due = [grant for grant in still_open(customer_id) if grant.expires_at <= now]
    for grant in due:
        _expire(grant)
    _note_whether_open(customer_id)
    return len(due)


def _expire(grant: CreditGrant) -> None:
    # Credits that paid debt meanwhile are already gone: an expiry never creates debt.
    balance = db.session.execute(select(Customer.credit_balance).filter_by(id=grant.customer_id)).scalar_one()
    taken = min(grant.remaining, max(balance, 0))
    if taken:
        words = f"Expired: {grant.note}" if grant.note else "Promotional credits expired"
        entries.post(grant.customer_id, -taken, "expiry", f"grant:{grant.id}", description=words[:255])
    grant.remaining, grant.warn_at = 0, None
    db.session.flush()


def sweep() -> int:
    """Scheduled task: expire due grants in one transaction per customer, and return how many. Commits."""
    left = CreditGrant.remaining > 0
    on_time = select(CreditGrant.customer_id).join(Customer, Customer.id == CreditGrant.customer_id)
    on_time = on_time.where(left, Customer.clock_at.is_(None), CreditGrant.expires_at <= clock.now())
    on_time = on_time.order_by(CreditGrant.expires_at).limit(AT_ONCE)
    # From the few customers on a clock: an index of grants has nothing to compare with each one's time.
    theirs = exists().where(
        left, CreditGrant.customer_id == Customer.id, CreditGrant.expires_at <= Customer.clock_at
    )
    on_a_clock = select(Customer.id).where(Customer.clock_at.is_not(None), theirs).limit(AT_ONCE)
    customers = [one for query in (on_time, on_a_clock) for one in db.session.execute(query).scalars()]
    db.session.commit()
    expired = 0
    for customer_id in dict.fromkeys(customers):
        customer = lock(customer_id)
        expired += expire(customer_id, clock.now(customer.clock_at))
        db.session.commit()
    return expired


def _note_whether_open(customer_id: int) -> None:
    is_open = select(CreditGrant.id).filter_by(customer_id=customer_id).where(CreditGrant.remaining > 0).exists()
    db.session.flush()
    db.session.execute(update(Customer).where(Customer.id == customer_id).values(has_grants=is_open))
