"""The monthly run: close the month, claim a bill for everyone, invoice each at Stripe.

Repeated, concurrent, or after kill -9 at any point, it bills nobody twice and misses nobody: the state is in the
bills, and each step continues from them.
"""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from flask import Flask
from sqlalchemy import func, select

from portal import clock, gateway
from portal.enums import Mode
from portal.errors import InvalidInput
from portal.extensions import db
from portal.models import BillState, MonthlyBill
from portal.usage.monthly_run import bill_invoices, bill_locks, claims, closed_months
from portal.usage.monthly_run.claims import Draft
from portal.usage.monthly_run.months import Month

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
    with bill_locks.of_run() as mine, ThreadPoolExecutor(workers) as pool:

        def bill(bill_id: int) -> str:
            with app.app_context(), mine.held(bill_id) as is_mine:
                return bill_invoices.invoice(bill_id, is_new=bill_id in new) if is_mine else "elsewhere"

        for outcome in pool.map(bill, waiting):
            outcomes[outcome] += 1
            done(1)
    return Summary(outcomes, _totals(month), _failures(month))


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
