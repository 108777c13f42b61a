"""Spend limits: emails at 50, 75 and 100 %, and optionally a stop of usage."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from sqlalchemy import func, select, update

from portal import clock, mail
from portal.catalogue import meters
from portal.errors import PortalError
from portal.extensions import db
from portal.models import Customer, Meter, UsageDay, UsageSettings
from portal.models.usage import LIMIT_DUE
from portal.usage.included import units as included
from portal.usage.monthly_run.months import Month

STEPS = (100, 75, 50)  # percent
AT_ONCE = 500  # customers


class SpendLimitReached(PortalError):
    """The report would exceed the customer's own limit, so none of it was recorded."""

    status = 402
    code = "spend_limit_reached"
    title = "Spend limit reached"

    def __init__(self, month: int, limit: int) -> None:
        page = mail.external("usage.index")
        words = "This would pass the spend limit of this account, which stops usage. Raise the limit to go on."
        super().__init__(words, action=(page, "Change the limit"), limit_url=page)
        self.month, self.limit = month, limit


def hard_stop(customer_id: int) -> int | None:
    """Return the amount at which the customer stops usage, in minor units; None if they don't.

    Called before usage is recorded. It marks the limit as due for `run`, and so locks the row: of two concurrent
    reports the second sees the first, and `run` leaves the mark until the usage is committed.
    """
    mark = update(UsageSettings).values(limit_due=True)
    mine = mark.where(UsageSettings.customer_id == customer_id, UsageSettings.limit_amount.is_not(None))
    row = db.session.execute(mine.returning(UsageSettings.limit_amount, UsageSettings.hard_stop)).one_or_none()
    return row.limit_amount if row and row.hard_stop else None


def enforce(customer_id: int, limit: int | None, months: Iterable[int]) -> None:
    """Refuse the usage just recorded if a bill would exceed `limit`, the customer's hard stop.

    Raises SpendLimitReached: the caller rolls back what was recorded, and calls `tell_stopped`.
    """
    if limit is None:
        return
    for month in sorted(set(months)):
        if spent(month, customer_id).get(customer_id, 0) > limit:
            raise SpendLimitReached(month, limit)


def tell_stopped(customer_id: int, reached: SpendLimitReached) -> None:
    """Mail a customer that their limit stops usage. Flushes."""
    limit = reached.limit
    customer = db.session.get_one(Customer, customer_id)
    _tell(customer, Month.of_number(reached.month), limit, limit, 100, stop=True)


def spent(month: int, *customer_ids: int) -> dict[int, int]:
    """Return the cost of a month so far beyond its included units, in minor units, for each of these customers."""
    query = (
        select(UsageDay.customer_id, Meter, func.sum(UsageDay.units), func.sum(UsageDay.nanos))
        .join(Meter, Meter.id == UsageDay.meter_id)
        .where(UsageDay.month == month, UsageDay.customer_id.in_(customer_ids))
        .group_by(UsageDay.customer_id, Meter.id)
    )
    numbers = included.of_customers(customer_ids, Month.of_number(month))
    found: dict[int, int] = defaultdict(int)
    for one, meter, units, nanos in db.session.execute(query):
        free = numbers.get(one, {}).get(meter.id, 0)
        found[one] += meters.line(meter, int(units), int(nanos), free).amount
    return found


def run() -> int:
    """Scheduled task: mail each customer whose usage passed a step of their limit, and return how many.

    Reads those alone who reported usage since they were last checked. Commits after each batch.
    """
    passed, last = 0, 0
    while batch := _due(last):
        passed += _check(batch)
        db.session.commit()
        last = batch[-1].customer_id
    db.session.commit()
    return passed


def _due(after: int) -> Sequence[UsageSettings]:
    """Lock and return the next limits to check. One that a report is marking just now is left to the next run."""
    # With the index's own condition: SQLite does not see that "limit_due = 1" means the same.
    query = select(UsageSettings).where(LIMIT_DUE, UsageSettings.customer_id > after)
    query = query.order_by(UsageSettings.customer_id).limit(AT_ONCE)
    fresh = query.with_for_update(skip_locked=True).execution_options(populate_existing=True)
    return db.session.execute(fresh).scalars().all()


def _check(batch: Sequence[UsageSettings]) -> int:
    month, passed = Month.of(clock.now()), 0
    amounts = spent(month.number, *(one.customer_id for one in batch))
    for one in batch:
        one.limit_due = False
        limit, amount = one.limit_amount, amounts.get(one.customer_id, 0)
        step = next(
            (step for step in STEPS if limit is not None and amount and amount * 100 >= limit * step), None
        )
        if step and limit is not None:
            customer = db.session.get_one(Customer, one.customer_id)
            _tell(customer, month, amount, limit, step, stop=one.hard_stop)
            passed += 1
    return passed


def _tell(customer: Customer, month: Month, amount: int, limit: int, step: int, *, stop: bool) -> None:
    """Mail once for each step of a limit and month. A changed limit has steps of its own."""
    currency = db.session.execute(select(Meter.currency).limit(1)).scalar_one()
    mail.tell(
        customer,
        "spend_limit",
        f"spend-limit:{customer.id}:{month}:{limit}:{step}",
        percent=step,
        amount=amount,
        limit=limit,
        currency=currency,
        month=month.words,
        hard_stop=stop,
        page=mail.external("usage.index"),
    )
