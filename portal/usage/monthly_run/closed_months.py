"""Closing a month: late usage then goes on the next bill, and the totals are final.

Recording usage and closing a month must not interleave: a month could be read as open, then closed and summed, and
only then get usage, on a bill that already exists. On PostgreSQL an advisory lock prevents this, shared among
recorders. On SQLite every writing transaction holds the one write lock.
"""

from sqlalchemy import select, text

from portal import clock
from portal.extensions import db, insert
from portal.models import BillingRun
from portal.usage.monthly_run.months import Month

LOCK = 7_000_001  # the key of this PostgreSQL advisory lock
SHARE = text("SELECT pg_advisory_xact_lock_shared(:lock)")
TAKE = text("SELECT pg_advisory_xact_lock(:lock)")


def closed_since(month: Month) -> frozenset[int]:
    """Return the numbers of the closed months from this one on. No month closes until the transaction ends."""
    connection = db.session.connection()
    if connection.dialect.name == "postgresql":
        connection.execute(SHARE, {"lock": LOCK})
    query = select(BillingRun.month).where(BillingRun.month >= month.number)
    return frozenset(connection.execute(query).scalars())


def close(month: Month) -> None:
    """Close a month, once, after waiting for running reports. Commits."""
    connection = db.session.connection()
    if connection.dialect.name == "postgresql":
        connection.execute(TAKE, {"lock": LOCK})
    row = {"month": month.number, "closed_at": clock.now()}
    db.session.execute(insert(BillingRun).values(row).on_conflict_do_nothing())
    db.session.commit()


def billed_with(month: Month, closed: frozenset[int]) -> Month:
    """Return the month that bills usage of this one: itself, or the next open one."""
    while month.number in closed:
        month = month.next
    return month
