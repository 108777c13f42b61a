"""Emails when 80 and 100% of a month's included units are used, once each."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal

from sqlalchemy import func, select, update

from portal import clock, mail, quantities
from portal.catalogue import meters
from portal.extensions import db
from portal.models import Customer, Meter, UsageAgreement, UsageDay
from portal.models.usage import DUE
from portal.usage.included import units
from portal.usage.included.units import Included
from portal.usage.monthly_run.months import Month

STEPS = (100, 80)  # percent
AT_ONCE = 500  # days


def run() -> int:
    """Scheduled task: mail customers whose usage passed a step of what is included, and return how many.

    Reads those alone whose usage changed since they were last checked. Commits after each batch.
    """
    told = 0
    while days := _due():
        told += _check({day.customer_id for day in days})
        keys = [(day.customer_id, day.month, day.meter_id, day.day) for day in days]
        for customer_id, month, meter_id, day in keys:
            key = {"customer_id": customer_id, "month": month, "meter_id": meter_id, "day": day}
            db.session.execute(update(UsageDay).filter_by(**key).values(due=False))
        db.session.commit()
    db.session.commit()
    return told


def _due() -> Sequence[UsageDay]:
    """Lock and return the next days to check. One that a report is adding to just now is left to the next run."""
    # With the index's own condition: SQLite does not see that "due = 1" means the same.
    query = select(UsageDay).where(DUE).order_by(UsageDay.customer_id, UsageDay.month).limit(AT_ONCE)
    fresh = query.with_for_update(skip_locked=True).execution_options(populate_existing=True)
    return db.session.execute(fresh).scalars().all()


def _check(customer_ids: Collection[int]) -> int:
    month = Month.of(clock.now())
    numbers = {
        one: mine for one, mine in units.of_customers(sorted(customer_ids), month).items() if any(mine.values())
    }
    if not numbers:
        return 0
    used, by_id = _used(list(numbers), month), {meter.id: meter for meter in meters.on_sale()}
    due: dict[str, tuple[int, int, Included]] = {}
    for customer_id, mine in numbers.items():
        for meter_id, most in mine.items():
            quantity = used[customer_id].get(meter_id, Decimal(0))
            step = next((step for step in STEPS if quantity and quantity * 100 >= most * step), None)
            if step is not None and meter_id in by_id:
                key = f"included-units:{customer_id}:{month}:{by_id[meter_id].key}:{most}:{step}"
                due[key] = (customer_id, step, Included(by_id[meter_id], most, quantity, month.end))
    unsaid = mail.unsaid(due)
    for key in unsaid:
        customer_id, step, included = due[key]
        _tell(db.session.get_one(Customer, customer_id), key, step, included, month)
    return len(unsaid)


def _used(customer_ids: Sequence[int], month: Month) -> Mapping[int, dict[int, Decimal]]:
    query = (
        select(UsageDay.customer_id, UsageDay.meter_id, func.sum(UsageDay.units), func.sum(UsageDay.nanos))
        .where(UsageDay.month == month.number, UsageDay.customer_id.in_(customer_ids))
        .group_by(UsageDay.customer_id, UsageDay.meter_id)
    )
    found: dict[int, dict[int, Decimal]] = defaultdict(dict)
    for customer_id, meter_id, whole, nanos in db.session.execute(query):
        found[customer_id][meter_id] = quantities.joined(int(whole), int(nanos))
    return found


def _tell(customer: Customer, key: str, step: int, included: Included, month: Month) -> None:
    meter: Meter = included.meter
    running = select(UsageAgreement.id).filter_by(customer_id=customer.id, ended_at=None)
    mail.tell(
        customer,
        "included_units",
        key,
        percent=step,
        meter=meter.name,
        used=quantities.text(included.used),
        included=included.units,
        month=month.words,
        price=meters.in_words(meter, meter.currency),
        pays=db.session.execute(running).first() is not None,
        resets_on=included.resets_on,
        page=mail.external("usage.index"),
    )
