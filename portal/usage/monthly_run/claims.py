"""Claiming a month: one statement sums all usage and creates one bill per customer."""

from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import select, text

from portal import clock
from portal.catalogue import meters
from portal.extensions import db, insert
from portal.models import BillState, Customer, Meter, MonthlyBill, MonthlyBillLine, UsageSettings
from portal.usage.included import units as included_units
from portal.usage.monthly_run.months import Month

TOGETHER = 500  # bills claimed in one transaction

# All columns come from one index, in its order (portal.models.usage). The sums fit: see MOST_A_DAY there.
AGGREGATE = text("""
SELECT customer_id, meter_id, CAST(sum(units) AS bigint), CAST(sum(nanos) AS bigint)
FROM usage_events WHERE month = :month GROUP BY customer_id, meter_id ORDER BY customer_id, meter_id""")


@dataclass(frozen=True)
class Draft:
    """A bill to be written."""

    customer_id: int
    lines: list[meters.Line]

    @property
    def amount(self) -> int:
        """Return minor units of the meters' currency."""
        return sum(line.amount for line in self.lines)

    @property
    def currency(self) -> str:
        """Return the catalogue's currency."""
        return self.lines[0].meter.currency


def aggregate(month: Month) -> list[tuple[int, int, int, int]]:
    """List customer, meter, units and nanos of everyone with usage in a month, by customer."""
    connection = db.session.connection()
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")  # pages have a short timeout, this does not
    return [tuple(row) for row in connection.execute(AGGREGATE, {"month": month.number})]


def drafts(month: Month) -> list[Draft]:
    """List the month's bills with prices, rounded once per line, half up. Commits, because it reads without the
    write lock.
    """
    db.session.commit()
    db.session.connection(execution_options={"sqlite_begin": "DEFERRED"})
    known = {meter.id: meter for meter in db.session.execute(select(Meter)).scalars()}
    found = aggregate(month)
    numbers = included_units.of_customers(list(dict.fromkeys(row[0] for row in found)), month)
    db.session.commit()
    return [
        Draft(
            customer_id,
            [
                meters.line(known[meter], units, nanos, numbers.get(customer_id, {}).get(meter, 0))
                for _, meter, units, nanos in rows
            ],
        )
        for customer_id, rows in groupby(found, key=itemgetter(0))
    ]


def claim(month: Month) -> set[int]:
    """Write a bill for everyone with usage who has none, and return the ids of the new bills. Commits."""
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
    """Write bills with their lines, so that a claimed bill is complete."""
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
        "credits": None if owner.credits_first else 0,  # null: decided before the call to Stripe
        "credits_amount": 0,
        "state": BillState.CLAIMED if draft.amount else BillState.NOTHING,
        "attempt": 1,
        "created_at": clock.now(),
    }


def _line(bill_id: int, line: meters.Line) -> dict[str, Any]:
    return {
        "bill_id": bill_id,
        "meter_id": line.meter.id,
        "units": line.units,
        "nanos": line.nanos,
        "included": line.included,
        "amount": line.amount,
    } | meters.kept(line.meter)
