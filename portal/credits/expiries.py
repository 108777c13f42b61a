"""Corrects old ledgers in which paid credits expired, before expiries were capped. Each is corrected once."""

from collections.abc import Iterator

from sqlalchemy import select

from portal.credits import grants, ledger
from portal.extensions import db
from portal.models import CreditEntry, CreditGrant
from portal.sync import locks

PREFIX = "expired-paid:"


def wrong(customer_id: int) -> Iterator[tuple[CreditEntry, int]]:
    """Yield each expiry that took more than could expire, with the number of excess credits, unless already
    restored.

    It replays the ledger: spends and reversals reduce what can expire, but only down to the balance.
    """
    query = select(CreditGrant).filter_by(customer_id=customer_id).order_by(CreditGrant.expires_at, CreditGrant.id)
    given = db.session.execute(query).scalars().all()
    by_entry = {grant.entry_id: grant.id for grant in given}
    left: dict[int, int] = {grant.id: 0 for grant in given}  # in order of expiry
    entries = select(CreditEntry).filter_by(customer_id=customer_id).order_by(CreditEntry.id)
    ledger_lines = db.session.execute(entries).scalars().all()
    put_back = {one.reference for one in ledger_lines if one.reason == "adjustment"}
    for entry in ledger_lines:
        if entry.reason == "expiry":
            number = int(entry.reference.removeprefix("grant:"))
            too_many = -entry.amount - left.get(number, 0)
            left[number] = 0
            if too_many > 0 and f"{PREFIX}{entry.id}" not in put_back:
                yield entry, too_many
        elif entry.id in by_entry:
            left[by_entry[entry.id]] = min(entry.amount, max(entry.balance_after, 0))
        elif entry.amount < 0:
            used = -entry.amount if entry.reason in ("spend", "usage") else 0
            _use(left, max(used, sum(left.values()) - max(entry.balance_after, 0)))


def _use(left: dict[int, int], credits: int) -> None:
    for number, remaining in left.items():
        taken = min(remaining, max(credits, 0))
        left[number] = remaining - taken
        credits -= taken


def settle(customer_id: int) -> None:
    """Restore paid credits that expired, and cap what can still expire. Commits."""
    locks.lock(customer_id)
    for entry, credits in list(wrong(customer_id)):
        words = "Paid credits that had expired"
        ledger.post(customer_id, credits, "adjustment", f"{PREFIX}{entry.id}", description=words)
    grants.cap(customer_id)
    db.session.commit()
