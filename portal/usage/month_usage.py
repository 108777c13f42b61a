"""The usage of a month for pages and programs, read only from the daily totals."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import and_, select

from portal import money, quantities
from portal.catalogue import meters
from portal.extensions import db
from portal.models import Meter, UsageDay
from portal.usage.included import units
from portal.usage.monthly_run.months import Month


@dataclass(frozen=True)
class MeterUsage:
    """One meter's part of a month: `amount` in minor units, as on the bill; quantities by day.

    `included` are the whole units that the month includes. The amount is for what is beyond them.
    """

    meter: Meter
    quantity: Decimal
    included: int
    amount: int
    days: dict[date, Decimal]

    def expected(self, passed: int, days: int) -> int:
        """Return the amount of the whole month at the pace of its first days, without the included units."""
        nanos = int(self.quantity * quantities.NANO) * days // passed
        return meters.cost(self.meter, 0, nanos, self.meter.currency, included=self.included)

    @property
    def left(self) -> Decimal:
        """Return how much of the included units is left."""
        return max(self.included - self.quantity, Decimal(0))

    def allowance(self, month: Month) -> units.Included:
        """Return the included units with what is used of them."""
        return units.Included(self.meter, self.included, self.quantity, month.end)

    @property
    def price(self) -> str:
        """Return the price as text."""
        return meters.in_words(self.meter, self.meter.currency)


@dataclass(frozen=True)
class Forecast:
    """A month's expected total at the current pace: `so_far`, divided by the days passed, times the days of the
    month.

    `metered` is the part of meters with included units, whose quantity is projected instead.
    """

    so_far: int
    passed: int
    days: int
    metered: int | None = None  # None: nothing is included

    @property
    def amount(self) -> int:
        """Return minor units, rounded half up."""
        return money.half_up(self.so_far * self.days, self.passed) + (self.metered or 0)


@dataclass(frozen=True)
class MonthUsage:
    """A customer's month, with every meter in the catalogue's order."""

    month: Month
    currency: str
    meters: list[MeterUsage]

    @property
    def amount(self) -> int:
        """Return the bill so far, in minor units."""
        return sum(one.amount for one in self.meters)

    @property
    def is_unused(self) -> bool:
        """Return whether nothing was used, so that there is nothing to forecast from."""
        return not any(one.quantity for one in self.meters)

    def forecast(self, now: datetime) -> Forecast:
        """Return the forecast by whole days, including today. A month that is over has its actual amount."""
        passed = self.month.days if now >= self.month.end else now.day
        metered = [one.expected(passed, self.month.days) for one in self.meters if one.included]
        plain = sum(one.amount for one in self.meters if not one.included)
        return Forecast(plain, passed, self.month.days, sum(metered) if metered else None)


def of(customer_id: int | None, month: Month) -> MonthUsage:
    """Return a customer's usage on the bill of this month, with what it includes."""
    mine = and_(UsageDay.meter_id == Meter.id, UsageDay.customer_id == customer_id, UsageDay.month == month.number)
    query = select(Meter, UsageDay).outerjoin(UsageDay, mine).order_by(Meter.position, UsageDay.day)
    days: dict[Meter, list[UsageDay]] = {}
    for meter, day in db.session.execute(query):
        days.setdefault(meter, []).extend([day] if day else [])
    numbers = units.of(customer_id, month)
    used = [_of_meter(meter, found, numbers.get(meter.id, 0)) for meter, found in days.items()]
    shown = [one for one in used if one.quantity or not one.meter.withdrawn]
    return MonthUsage(month, next((meter.currency for meter in days), "usd"), shown)


def _of_meter(meter: Meter, days: list[UsageDay], included: int) -> MeterUsage:
    whole, nanos = sum(day.units for day in days), sum(day.nanos for day in days)
    by_day = {day.day: quantities.joined(day.units, day.nanos) for day in days}
    amount = meters.line(meter, whole, nanos, included).amount
    return MeterUsage(meter, quantities.joined(whole, nanos), included, amount, by_day)
