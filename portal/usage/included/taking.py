"""Usage without an agreement: taken while the units that the month includes last, and refused beyond them."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from decimal import Decimal

from sqlalchemy import func, select

from portal import quantities
from portal.extensions import db, insert
from portal.models import IncludedUnits, Meter, UsageDay, UsageEvent
from portal.usage.events.coverage import NoAgreement
from portal.usage.events.reports import Row
from portal.usage.included import units
from portal.usage.monthly_run.months import Month

Part = tuple[int, int]  # month, meter id


class IncludedUsedUp(NoAgreement):
    """Usage beyond what the month includes, at a time without a pay-as-you-go agreement."""

    code = "included_used_up"
    title = "The included units are used up"

    def __init__(self, meter: Meter, included: int, used: Decimal, month: Month) -> None:
        words = (
            f"{month.words} includes {included:,} of {meter.name}, and {quantities.text(used)} of them are used. "
            "Start pay as you go to use more."
        )
        super().__init__(words, meter=meter.key, included=included, used=quantities.wire(used))


def refused(customer_id: int, rows: Sequence[Row], uncovered: Sequence[Row]) -> dict[str, NoAgreement]:
    """Return which events without an agreement are refused, and why, by identifier. Flushes.

    `rows` is the whole batch, in which other events may be covered; `uncovered` the rest, in the report's order.
    It locks what the months include, so that of two concurrent reports the second sees the first.
    """
    parts = sorted({(row.month, row.meter_id) for row in uncovered})
    included = _kept(customer_id, parts)
    used = _used(customer_id, [part for part in parts if included[part]], rows, uncovered)
    found: dict[str, NoAgreement] = {}
    for row in uncovered:
        part, quantity = (row.month, row.meter_id), quantities.joined(row.units, row.nanos)
        if not included[part]:
            found[row.identifier] = NoAgreement()
        elif used[part] + quantity > included[part]:
            meter = db.session.get_one(Meter, row.meter_id)
            found[row.identifier] = IncludedUsedUp(meter, included[part], used[part], Month.of_number(row.month))
        else:
            used[part] += quantity
    return found


def in_order(rows: Sequence[Row], order: Iterable[str], uncovered: Collection[str]) -> list[Row]:
    """List the rows without an agreement in the report's order, each once."""
    by_name = {row.identifier: row for row in rows if row.identifier in uncovered}
    return [by_name[name] for name in dict.fromkeys(order) if name in by_name]


def _kept(customer_id: int, parts: Sequence[Part]) -> dict[Part, int]:
    """Return what each month includes of each meter, and keep that number: it must not fall once it is used."""
    months = {month for month, _ in parts}
    numbers = {month: units.of(customer_id, Month.of_number(month)) for month in months}
    kept = {part: numbers[part[0]].get(part[1], 0) for part in parts}
    for (month, meter_id), most in kept.items():
        if most:
            row = {"customer_id": customer_id, "month": month, "meter_id": meter_id, "units": most}
            statement = insert(IncludedUnits).values(row)
            changes = {"units": most}
            db.session.execute(
                statement.on_conflict_do_update(index_elements=["customer_id", "month", "meter_id"], set_=changes)
            )
    return kept


def _used(
    customer_id: int, parts: Sequence[Part], rows: Sequence[Row], uncovered: Sequence[Row]
) -> dict[Part, Decimal]:
    """Return what is used of each part so far, with the new events of the batch that an agreement covers."""
    found: dict[Part, Decimal] = defaultdict(Decimal)
    if not parts:
        return found
    query = (
        select(UsageDay.month, UsageDay.meter_id, func.sum(UsageDay.units), func.sum(UsageDay.nanos))
        .where(UsageDay.customer_id == customer_id, UsageDay.month.in_({month for month, _ in parts}))
        .group_by(UsageDay.month, UsageDay.meter_id)
    )
    for month, meter_id, whole, nanos in db.session.execute(query):
        found[month, meter_id] = quantities.joined(int(whole), int(nanos))
    names = {row.identifier for row in uncovered}
    covered = [row for row in rows if row.identifier not in names]
    recorded = select(UsageEvent.identifier).filter_by(customer_id=customer_id)
    known = set(
        db.session.execute(
            recorded.where(UsageEvent.identifier.in_([row.identifier for row in covered]))
        ).scalars()
        if covered
        else ()
    )
    for row in covered:
        if row.identifier not in known:
            found[row.month, row.meter_id] += quantities.joined(row.units, row.nanos)
    return found
