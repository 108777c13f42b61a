"""Spend limits: mails at 50, 75 and 100 %, and, where the customer chose it, an end to usage."""

from collections import defaultdict
from collections.abc import Iterable

from sqlalchemy import func, select

from portal import clock, mail
from portal.errors import PortalError
from portal.extensions import db
from portal.models import Customer, Meter, UsageDay, UsageSettings
from portal.usage import claiming
from portal.usage.months import Month

STEPS = (100, 75, 50)  # percent


class SpendLimitReached(PortalError):
    """The customer's own limit: this would go beyond it, so nothing of it was taken."""

    status = 402
    code = "spend_limit_reached"
    title = "Spend limit reached"

    def __init__(self, month: int, limit: int) -> None:
        page = mail.external("usage.index")
        words = "This would pass the spend limit of this account, which stops usage. Raise the limit to go on."
        super().__init__(words, action=(page, "Change the limit"), limit_url=page)
        self.month, self.limit = month, limit


def hard_stop(customer_id: int) -> int | None:
    """The amount at which the customer lets usage stop, in minor units; None where it does not.

    Asked before usage is recorded: the row is locked, so that of two reports at once the second sees the first.
    """
    query = select(UsageSettings.limit_amount).filter_by(customer_id=customer_id, hard_stop=True)
    return db.session.execute(query.with_for_update(key_share=True)).scalar_one_or_none()


def enforce(customer_id: int, limit: int | None, months: Iterable[int]) -> None:
    """Refuse what was just recorded where a bill would pass `limit`, the customer's hard stop.

    Raises SpendLimitReached: the caller rolls back what was recorded, and calls `tell_stopped`.
    """
    if limit is None:
        return
    for month in sorted(set(months)):
        if spent(month, customer_id).get(customer_id, 0) > limit:
            raise SpendLimitReached(month, limit)


def tell_stopped(customer_id: int, reached: SpendLimitReached) -> None:
    """Tell a customer by mail that their limit stops usage. Flushes."""
    limit = reached.limit
    customer = db.session.get_one(Customer, customer_id)
    _tell(customer, Month.of_number(reached.month), limit, limit, 100, stop=True)


def spent(month: int, customer_id: int | None = None) -> dict[int, int]:
    """What a month has come to, in minor units, for one customer or for all who set a limit."""
    query = (
        select(UsageDay.customer_id, Meter, func.sum(UsageDay.units), func.sum(UsageDay.nanos))
        .join(Meter, Meter.id == UsageDay.meter_id)
        .where(UsageDay.month == month)
        .group_by(UsageDay.customer_id, Meter.id)
    )
    if customer_id is not None:
        query = query.where(UsageDay.customer_id == customer_id)
    else:
        limited = select(UsageSettings.customer_id).where(UsageSettings.limit_amount.is_not(None))
        query = query.where(UsageDay.customer_id.in_(limited))
    found: dict[int, int] = defaultdict(int)
    for one, meter, units, nanos in db.session.execute(query):
        found[one] += claiming.line(meter, int(units), int(nanos)).amount
    return found


def run() -> int:
    """The tick's chore: a mail to each whose usage passed a step of their limit; gives how many did. Commits."""
    month = Month.of(clock.now())
    query = select(Customer, UsageSettings.limit_amount, UsageSettings.hard_stop)
    query = query.join(UsageSettings, UsageSettings.customer_id == Customer.id)
    limited = list(db.session.execute(query.where(UsageSettings.limit_amount.is_not(None))))
    amounts = spent(month.number) if limited else {}
    passed = 0
    for customer, limit, stop in limited:
        assert limit is not None
        amount = amounts.get(customer.id, 0)
        step = next((step for step in STEPS if amount and amount * 100 >= limit * step), None)
        if step:
            _tell(customer, month, amount, limit, step, stop=stop)
            passed += 1
    db.session.commit()
    return passed


def _tell(customer: Customer, month: Month, amount: int, limit: int, step: int, *, stop: bool) -> None:
    """Once for each step of a limit and month; a changed limit has steps of its own."""
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
