"""What was used in a month, as pages and programs read it: from the sums of the days alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import select

from portal import money
from portal.extensions import db
from portal.models import Meter, UsageDay
from portal.usage import claiming, quantities
from portal.usage.months import Month


@dataclass(frozen=True)
class MeterUsage:
    """One meter's part of a month: `amount` in minor units, as it stands on the bill; quantities by day."""

    meter: Meter
    quantity: Decimal
    amount: int
    days: dict[date, Decimal]

    @property
    def price(self) -> str:
        """What it costs, in words."""
        return money.price_text(self.meter.unit_price, self.meter.per, self.meter.currency)


@dataclass(frozen=True)
class Forecast:
    """What the month comes to at the pace so far: `so_far` by the days that have passed, times all its days."""

    so_far: int
    passed: int
    days: int

    @property
    def amount(self) -> int:
        """Minor units, rounded half up."""
        return money.half_up(self.so_far * self.days, self.passed)


@dataclass(frozen=True)
class MonthUsage:
    """A customer's month, every meter of the catalogue in its order."""

    month: Month
    currency: str
    meters: list[MeterUsage]

    @property
    def amount(self) -> int:
        """The bill as it stands, in minor units."""
        return sum(one.amount for one in self.meters)

    def forecast(self, now: datetime) -> Forecast:
        """By whole days, today among those that have passed; a month that is over comes to what it is."""
        passed = self.month.days if now >= self.month.end else now.day
        return Forecast(self.amount, passed, self.month.days)


def of(customer_id: int | None, month: Month) -> MonthUsage:
    """What a customer used that is on the bill of this month. Two queries."""
    everything = db.session.execute(select(Meter).order_by(Meter.position)).scalars().all()
    days: Sequence[UsageDay] = []
    if customer_id is not None:
        query = select(UsageDay).filter_by(customer_id=customer_id, month=month.number).order_by(UsageDay.day)
        days = db.session.execute(query).scalars().all()
    used = [_of_meter(meter, [day for day in days if day.meter_id == meter.id]) for meter in everything]
    shown = [one for one in used if one.quantity or not one.meter.withdrawn]
    return MonthUsage(month, everything[0].currency if everything else "usd", shown)


def _of_meter(meter: Meter, days: list[UsageDay]) -> MeterUsage:
    units, nanos = sum(day.units for day in days), sum(day.nanos for day in days)
    by_day = {day.day: quantities.joined(day.units, day.nanos) for day in days}
    return MeterUsage(meter, quantities.joined(units, nanos), claiming.line(meter, units, nanos).amount, by_day)
