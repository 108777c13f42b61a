"""Usage as CSV, with a line for each day and meter."""

import csv
import io
from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from sqlalchemy import select

from portal import quantities
from portal.credits.history.csv_export import plain
from portal.extensions import db
from portal.models import Meter, UsageDay
from portal.usage.monthly_run.months import Month


class Row(NamedTuple):
    """One line."""

    day: date
    meter: str
    name: str
    quantity: Decimal
    billed_with: Month


def rows(customer_id: int, since: date, until: date) -> Iterator[Row]:
    """Yield the days of a range, including both ends, oldest first."""
    query = (
        select(UsageDay, Meter.key, Meter.name)
        .join(Meter, Meter.id == UsageDay.meter_id)
        .where(UsageDay.customer_id == customer_id, UsageDay.day.between(since, until))
        .order_by(UsageDay.day, Meter.position, UsageDay.month)
    )
    for day, key, name in db.session.execute(query):
        yield Row(day.day, key, name, quantities.joined(day.units, day.nanos), Month.of_number(day.month))


def csv_lines(found: Iterable[Row]) -> Iterator[str]:
    """Yield the file, header first."""
    yield _line("Day (UTC)", "Meter", "Name", "Quantity", "Billed with")
    for row in found:
        yield _line(row.day, plain(row.meter), plain(row.name), quantities.wire(row.quantity), row.billed_with)


def _line(*cells: object) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerow(map(str, cells))
    return buffer.getvalue()
