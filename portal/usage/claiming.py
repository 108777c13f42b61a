"""Claiming a month: what everyone used, added up by one statement, becomes a bill for each, once."""

from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import select, text

from portal import clock
from portal.extensions import db, insert
from portal.models import Customer, Meter, MonthlyBill, MonthlyBillLine, UsageSettings
from portal.usage import quantities
from portal.usage.months import Month

TOGETHER = 500  # bills that are claimed in one transaction

# Every column comes from one index, in its order (portal.models.usage). The sums fit: see MOST_A_DAY there.
AGGREGATE = text("""
SELECT customer_id, meter_id, CAST(sum(units) AS bigint), CAST(sum(nanos) AS bigint)
FROM usage_events WHERE month = :month GROUP BY customer_id, meter_id ORDER BY customer_id, meter_id""")


class Line(NamedTuple):
    """What a customer used of a meter, and what that costs in minor units."""

    meter: Meter
    units: int
    nanos: int
    amount: int


@dataclass(frozen=True)
class Draft:
    """A bill that is to be."""

    customer_id: int
    lines: list[Line]

    @property
    def amount(self) -> int:
        """Minor units of the meters' currency."""
        return sum(line.amount for line in self.lines)

    @property
    def currency(self) -> str:
        """The catalogue has one."""
        return self.lines[0].meter.currency


def aggregate(month: Month) -> list[tuple[int, int, int, int]]:
    """Customer, meter, units and nanos of everyone who used something in a month, in the customers' order."""
    connection = db.session.connection()
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")  # pages are hasty, this is not
    return [tuple(row) for row in connection.execute(AGGREGATE, {"month": month.number})]


def drafts(month: Month) -> list[Draft]:
    """The month's bills, priced: rounded once a line, half up. Commits, for it reads without the write lock."""
    db.session.commit()
    db.session.connection(execution_options={"sqlite_begin": "DEFERRED"})
    meters = {meter.id: meter for meter in db.session.execute(select(Meter)).scalars()}
    found = aggregate(month)
    db.session.commit()
    return [
        Draft(customer_id, [line(meters[meter], units, nanos) for _, meter, units, nanos in rows])
        for customer_id, rows in groupby(found, key=itemgetter(0))
    ]


def line(meter: Meter, units: int, nanos: int) -> Line:
    """So much of a meter, priced."""
    amount = quantities.amount(units, nanos, meter.unit_price, meter.per, meter.currency)
    return Line(meter, units, nanos, amount)


def claim(month: Month) -> set[int]:
    """Write a bill for everyone who used something, unless one stands there; gives the new ones' ids. Commits."""
    wanted = drafts(month)
    query = select(Customer.id, Customer.mode, UsageSettings.credits_first)
    query = query.outerjoin(UsageSettings, UsageSettings.customer_id == Customer.id)
    owners = {row.id: row for row in db.session.execute(query)}
    db.session.commit()
    made: set[int] = set()
    for start in range(0, len(wanted), TOGETHER):
        made |= _write(month, wanted[start : start + TOGETHER], owners)
        db.session.commit()
    return made


def _write(month: Month, some: list[Draft], owners: dict[int, Any]) -> set[int]:
    """Bills and their lines together: one that is claimed has all of them."""
    statement = insert(MonthlyBill).on_conflict_do_nothing(index_elements=["customer_id", "month"])
    rows = [_bill(month, draft, owners[draft.customer_id]) for draft in some]
    made = db.session.execute(statement.returning(MonthlyBill.customer_id, MonthlyBill.id), rows)
    ids: dict[int, int] = {row[0]: row[1] for row in made}
    lines = [
        _line(ids[draft.customer_id], line) for draft in some if draft.customer_id in ids for line in draft.lines
    ]
    if lines:
        db.session.execute(insert(MonthlyBillLine), lines)
    return set(ids.values())


def _bill(month: Month, draft: Draft, owner: Any) -> dict[str, Any]:
    return {
        "customer_id": draft.customer_id,
        "mode": owner.mode,
        "month": month.number,
        "amount": draft.amount,
        "currency": draft.currency,
        "credits": None if owner.credits_first else 0,  # null: to be decided before Stripe is asked
        "credits_amount": 0,
        "state": "claimed" if draft.amount else "nothing",
        "attempt": 1,
        "created_at": clock.now(),
    }


def _line(bill_id: int, line: Line) -> dict[str, Any]:
    return {
        "bill_id": bill_id,
        "meter_id": line.meter.id,
        "units": line.units,
        "nanos": line.nanos,
        "unit_price": line.meter.unit_price,
        "per": line.meter.per,
        "amount": line.amount,
    }
