"""The monthly run: close the month, claim a bill for everyone, invoice each at Stripe.

Repeated, concurrent, or after kill -9 at any point, it bills nobody twice and misses nobody: the state is in the
bills, and each step continues from them.
"""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta

from flask import Flask
from sqlalchemy import func, select

from portal import clock, gateway, jobs
from portal.enums import Mode
from portal.errors import InvalidInput, NotFound
from portal.extensions import db
from portal.models import BillState, MonthlyBill
from portal.usage.monthly_run import bill_invoices, bill_locks, claims, closed_months
from portal.usage.monthly_run.claims import Draft
from portal.usage.monthly_run.months import Month

KIND = "bill"  # of job
LEFT_AFTER = timedelta(minutes=10)  # a bill that a worker should have finished; longer than its calls to Stripe
TOGETHER = 500

Progress = Callable[[int], None]  # called with the number of finished bills


@dataclass(frozen=True)
class Summary:
    """The number of bills by result, the month's totals by currency, and the reasons of failures."""

    outcomes: Counter[str]
    totals: dict[str, tuple[int, int]] = field(default_factory=dict)  # currency → bills, minor units
    failures: list[tuple[int, str]] = field(default_factory=list)  # customer, reason

    @property
    def is_clean(self) -> bool:
        """Return whether nothing is left for another run."""
        return not self.failures


def ended(month: Month) -> Month:
    """Return the month if it is over. Raises InvalidInput."""
    if month.end > clock.now():
        raise InvalidInput(f"{month} has not ended: its bill would not be complete.")
    return month


def preview(month: Month) -> list[Draft]:
    """List the bills that a run would write. Nothing is written, and no month is closed."""
    drafts = claims.drafts(month)
    billed = set(db.session.execute(select(MonthlyBill.customer_id).filter_by(month=month.number)).scalars())
    db.session.commit()
    return [draft for draft in drafts if draft.customer_id not in billed]


def run(app: Flask, month: Month, *, workers: int, begun: Progress, done: Progress) -> Summary:
    """Bill a month that is over. `begun` is called with the number of bills to do, `done` after each one.

    Commits. Raises InvalidInput.
    """
    closed_months.close(ended(month))
    new = claims.claim(month)
    waiting = _waiting(month)
    begun(len(waiting))
    outcomes: Counter[str] = Counter()
    if jobs.are_elsewhere():
        for bill_id in waiting:
            jobs.hand_over(KIND, bill_id)
            done(1)
        outcomes["handed over"] = len(waiting)
        return Summary(outcomes, _totals(month), _failures(month))
    with bill_locks.of_run() as mine, ThreadPoolExecutor(workers) as pool:

        def bill(bill_id: int) -> str:
            with app.app_context(), mine.held(bill_id) as is_mine:
                return bill_invoices.invoice(bill_id, is_new=bill_id in new) if is_mine else "elsewhere"

        for outcome in pool.map(bill, waiting):
            outcomes[outcome] += 1
            done(1)
    return Summary(outcomes, _totals(month), _failures(month))


def invoice(bill_id: int) -> str:
    """Invoice one claimed bill, in a worker, and return what a run would say. Commits."""
    with bill_locks.of_bill(bill_id) as is_mine:
        return bill_invoices.invoice(bill_id, is_new=False) if is_mine else "elsewhere"


def hand_over_left() -> int:
    """Scheduled task: hand the claimed bills that no worker finished over again, and return how many.

    Without workers a run is a command, which is repeated by whoever ran it.
    """
    modes = [mode for mode in Mode if gateway.of(mode).is_configured]
    left = (
        MonthlyBill.state == BillState.CLAIMED,
        MonthlyBill.created_at < clock.now() - LEFT_AFTER,
        MonthlyBill.mode.in_(modes),
    )
    found = db.session.execute(select(MonthlyBill.id).where(*left).limit(TOGETHER)).scalars().all()
    db.session.commit()
    return sum(jobs.hand_over(KIND, bill_id) for bill_id in found)


def waiting(limit: int) -> list[jobs.Job]:
    """Return the bills without an invoice, oldest first. Ends the transaction."""
    query = select(MonthlyBill).where(MonthlyBill.state.in_((BillState.CLAIMED, BillState.FAILED)))
    found = db.session.execute(query.order_by(MonthlyBill.id).limit(limit)).scalars().all()
    db.session.commit()
    return [
        jobs.Job(
            KIND,
            one.id,
            f"customer {one.customer_id}, {Month.of_number(one.month)}",
            one.state,
            0,
            one.created_at,
            None,
            one.error or "",
        )
        for one in found
    ]


def make_due(bill_id: int) -> None:
    """Refuse a bill that has its invoice; any other is due. Raises NotFound."""
    waits = (MonthlyBill.id == bill_id, MonthlyBill.state.in_(BillState.unbilled()))
    if db.session.execute(select(MonthlyBill.id).where(*waits)).scalar_one_or_none() is None:
        raise NotFound("No bill with this number waits.")


def _waiting(month: Month) -> list[int]:
    """List the bills without an invoice, of the modes that have a key."""
    modes = [mode for mode in Mode if gateway.of(mode).is_configured]
    query = select(MonthlyBill.id).where(
        MonthlyBill.month == month.number,
        MonthlyBill.state.in_(BillState.unbilled()),
        MonthlyBill.mode.in_(modes),
    )
    found = list(db.session.execute(query.order_by(MonthlyBill.id)).scalars())
    db.session.commit()
    return found


def _totals(month: Month) -> dict[str, tuple[int, int]]:
    query = (
        select(MonthlyBill.currency, func.count(), func.sum(MonthlyBill.amount))
        .where(MonthlyBill.month == month.number)
        .group_by(MonthlyBill.currency)
    )
    return {currency: (count, int(amount)) for currency, count, amount in db.session.execute(query)}


def _failures(month: Month) -> list[tuple[int, str]]:
    query = select(MonthlyBill.customer_id, MonthlyBill.error).filter_by(
        month=month.number, state=BillState.FAILED
    )
    found = [(customer, error or "") for customer, error in db.session.execute(query.order_by(MonthlyBill.id))]
    db.session.commit()
    return found
