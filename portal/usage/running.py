"""The run of the 1st: close the month, claim a bill for everyone, bring each to Stripe.

Again, beside itself or after kill -9 at any point it bills nobody twice and forgets nobody: the bills are the
truth, and each step takes up what it finds.
"""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from flask import Flask
from sqlalchemy import func, select

from portal import clock, gateway
from portal.errors import InvalidInput
from portal.extensions import db
from portal.models import MonthlyBill
from portal.usage import claiming, closing, invoicing, locks
from portal.usage.claiming import Draft
from portal.usage.months import Month

Progress = Callable[[int], None]  # told how many bills are done with


@dataclass(frozen=True)
class Summary:
    """How many bills ended how, all bills of the month by currency, and why some failed."""

    outcomes: Counter[str]
    totals: dict[str, tuple[int, int]] = field(default_factory=dict)  # currency → bills, minor units
    failures: list[tuple[int, str]] = field(default_factory=list)  # customer, why

    @property
    def is_clean(self) -> bool:
        """Whether nothing is left to be done by another run."""
        return not self.failures


def ended(month: Month) -> Month:
    """The month, if it is over. Raises InvalidInput."""
    if month.end > clock.now():
        raise InvalidInput(f"{month} has not ended: its bill would not be complete.")
    return month


def preview(month: Month) -> list[Draft]:
    """What a run would bill: every bill that does not stand there yet. Nothing is written, and no month closed."""
    drafts = claiming.drafts(month)
    billed = set(db.session.execute(select(MonthlyBill.customer_id).filter_by(month=month.number)).scalars())
    db.session.commit()
    return [draft for draft in drafts if draft.customer_id not in billed]


def run(app: Flask, month: Month, *, workers: int, begun: Progress, done: Progress) -> Summary:
    """Bill a month that is over. `begun` is told how many bills there are to do, `done` each time one is.

    Commits. Raises InvalidInput.
    """
    closing.close(ended(month))
    new = claiming.claim(month)
    waiting = _waiting(month)
    begun(len(waiting))
    outcomes: Counter[str] = Counter()
    with locks.of_run() as mine, ThreadPoolExecutor(workers) as pool:

        def bill(bill_id: int) -> str:
            with app.app_context(), mine.held(bill_id) as is_mine:
                return invoicing.invoice(bill_id, is_new=bill_id in new) if is_mine else "elsewhere"

        for outcome in pool.map(bill, waiting):
            outcomes[outcome] += 1
            done(1)
    return Summary(outcomes, _totals(month), _failures(month))


def _waiting(month: Month) -> list[int]:
    """The bills that no invoice was made of yet, of the modes that can make one."""
    modes = [mode for mode in gateway.MODES if gateway.of(mode).is_configured]
    query = select(MonthlyBill.id).where(
        MonthlyBill.month == month.number,
        MonthlyBill.state.in_(invoicing.PENDING),
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
    query = select(MonthlyBill.customer_id, MonthlyBill.error).filter_by(month=month.number, state="failed")
    found = [(customer, error or "") for customer, error in db.session.execute(query.order_by(MonthlyBill.id))]
    db.session.commit()
    return found
