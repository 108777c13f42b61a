"""A month's included units and how many of them are used: the one number that pages, API and bills share."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import and_, func, select

from portal import quantities
from portal.allowances import units
from portal.extensions import db
from portal.models import IncludedUnits, Meter, UsageDay
from portal.usage.monthly_run.months import Month

Numbers = dict[int, int]  # meter id → whole units


@dataclass(frozen=True)
class Included:
    """A meter's included units of a month, and what was used in that month."""

    meter: Meter
    units: int
    quantity: Decimal
    resets_at: datetime

    @property
    def resets_on(self) -> str:
        """Return "1 December": the day in UTC, as months are billed."""
        return f"{self.resets_at.day} {self.resets_at:%B}"

    @property
    def used(self) -> Decimal:
        """Return how much of it is used: at most all."""
        return min(self.quantity, Decimal(self.units))

    @property
    def remaining(self) -> Decimal:
        """Return how much of it is left."""
        return self.units - self.used

    @property
    def beyond(self) -> Decimal:
        """Return what was used beyond it."""
        return self.quantity - self.used


def of_customers(customer_ids: Sequence[int], month: Month) -> dict[int, Numbers]:
    """Return the included units of a month, by customer and meter. Runs two queries for each 500 customers."""
    numbers: dict[int, Numbers] = defaultdict(dict)
    for start in range(0, len(customer_ids), units.TOGETHER):
        some = customer_ids[start : start + units.TOGETHER]
        found = units.included(some, month.start, month.end)
        kept = (IncludedUnits.customer_id.in_(some), IncludedUnits.month == month.number)
        query = select(Meter.key, Meter.id, IncludedUnits.customer_id, IncludedUnits.units)
        query = query.outerjoin(IncludedUnits, and_(IncludedUnits.meter_id == Meter.id, *kept))
        for row in db.session.execute(query):
            for customer_id, mine in found.items():
                if row.key in mine:
                    _raise(numbers[customer_id], row.id, mine[row.key])
            if row.customer_id is not None:
                _raise(numbers[row.customer_id], row.id, row.units)
    return dict(numbers)


def _raise(numbers: Numbers, meter_id: int, most: int) -> None:
    numbers[meter_id] = max(most, numbers.get(meter_id, 0))


def of(customer_id: int | None, month: Month) -> Numbers:
    """Return one customer's included units of a month, by meter."""
    return of_customers([customer_id], month).get(customer_id, {}) if customer_id is not None else {}


def quantities_of(customer_id: int, month: Month) -> dict[int, Decimal]:
    """Return what a customer used in a month, by meter. Runs one query along an index."""
    query = (
        select(UsageDay.meter_id, func.sum(UsageDay.units), func.sum(UsageDay.nanos))
        .where(UsageDay.customer_id == customer_id, UsageDay.month == month.number)
        .group_by(UsageDay.meter_id)
    )
    return {
        meter_id: quantities.joined(int(whole), int(nanos)) for meter_id, whole, nanos in db.session.execute(query)
    }


def shown(customer_ids: Sequence[int], month: Month) -> dict[int, list[Included]]:
    """List the included units of customers with what is used of them, in the catalogue's order.

    A withdrawn meter is listed only if it was used. Runs three queries at most.
    """
    numbers = of_customers(customer_ids, month)
    mine = and_(UsageDay.meter_id == Meter.id, UsageDay.customer_id.in_(numbers), UsageDay.month == month.number)
    query = select(Meter, UsageDay.customer_id, func.sum(UsageDay.units), func.sum(UsageDay.nanos))
    query = query.outerjoin(UsageDay, mine).group_by(Meter.id, UsageDay.customer_id)
    used: dict[Meter, dict[int, Decimal]] = defaultdict(dict)
    for meter, customer_id, whole, nanos in db.session.execute(query.order_by(Meter.position)) if numbers else ():
        used[meter] |= {customer_id: quantities.joined(int(whole), int(nanos))} if customer_id else {}
    return {
        customer_id: [
            Included(meter, most[meter.id], by_customer.get(customer_id, Decimal(0)), month.end)
            for meter, by_customer in used.items()
            if meter.id in most and (not meter.withdrawn or customer_id in by_customer)
        ]
        for customer_id, most in numbers.items()
    }
