"""Closing a month: from then on its late usage goes on the next bill, and what was counted is all there is.

Who records usage and who closes a month must not meet in between: a month is read as open, closed and added up,
and only then the usage is written, on a bill that was made already. On PostgreSQL an advisory lock keeps them
apart, shared among recorders; on SQLite every transaction that writes holds the one write lock.
"""

from sqlalchemy import select, text

from portal import clock
from portal.extensions import db, insert
from portal.models import BillingRun
from portal.usage.months import Month

LOCK = 7_000_001  # names this lock among PostgreSQL's advisory ones
SHARE = text("SELECT pg_advisory_xact_lock_shared(:lock)")
TAKE = text("SELECT pg_advisory_xact_lock(:lock)")


def closed_since(month: Month) -> frozenset[int]:
    """The numbers of the months from this one on that are closed; none is closed until the transaction ends."""
    connection = db.session.connection()
    if connection.dialect.name == "postgresql":
        connection.execute(SHARE, {"lock": LOCK})
    query = select(BillingRun.month).where(BillingRun.month >= month.number)
    return frozenset(connection.execute(query).scalars())


def close(month: Month) -> None:
    """Close a month, once; waits for whoever is recording usage just now. Commits."""
    connection = db.session.connection()
    if connection.dialect.name == "postgresql":
        connection.execute(TAKE, {"lock": LOCK})
    row = {"month": month.number, "closed_at": clock.now()}
    db.session.execute(insert(BillingRun).values(row).on_conflict_do_nothing())
    db.session.commit()


def billed_with(month: Month, closed: frozenset[int]) -> Month:
    """The month on whose bill usage of this one goes: itself, or the next that is open."""
    while month.number in closed:
        month = month.next
    return month
