"""Recording usage: the events, once forever, and the daily totals, together or not at all."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import orjson
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from portal import instruments
from portal.errors import InvalidInput
from portal.extensions import db
from portal.usage.events.reports import Batch, Row

# Whether any plan includes units, so that a changed day may need an email: see portal.usage.included.warnings.
SOME_INCLUDED = "EXISTS (SELECT 1 FROM plans WHERE CAST(included AS text) <> '{}')"

# One statement: the new events feed the totals.
AT_ONCE = text(
    """
WITH fresh AS (
    INSERT INTO usage_events (customer_id, identifier, meter_id, units, nanos, occurred_at, month)
    SELECT :customer, sent.* FROM unnest(
        CAST(:identifiers AS text[]), CAST(:meters AS int[]), CAST(:units AS bigint[]), CAST(:nanos AS int[]),
        CAST(:moments AS timestamptz[]), CAST(:months AS int[])) AS sent
    ON CONFLICT DO NOTHING
    RETURNING month, meter_id, CAST(occurred_at AT TIME ZONE 'UTC' AS date) AS day, units, nanos
), summed AS (
    INSERT INTO usage_days AS days (customer_id, month, meter_id, day, units, nanos, due)
    SELECT :customer, month, meter_id, day, sum(units), sum(nanos), SOME_INCLUDED FROM fresh
    GROUP BY month, meter_id, day ORDER BY month, meter_id, day
    ON CONFLICT (customer_id, month, meter_id, day) DO UPDATE
    SET units = days.units + excluded.units, nanos = days.nanos + excluded.nanos, due = excluded.due
)
SELECT count(*) FROM fresh""".replace("SOME_INCLUDED", SOME_INCLUDED)
)

# SQLite has no CTE that writes, so it runs several statements under its one write lock.
KNOWN = text("""
SELECT identifier FROM usage_events
WHERE customer_id = :customer AND identifier IN (SELECT value FROM json_each(:identifiers))""")
INSERT = """
INSERT INTO usage_events (customer_id, identifier, meter_id, units, nanos, occurred_at, month)
VALUES (?, ?, ?, ?, ?, ?, ?)"""
ADD = text(
    """
INSERT INTO usage_days (customer_id, month, meter_id, day, units, nanos, due)
VALUES (:customer, :month, :meter, :day, :units, :nanos, SOME_INCLUDED)
ON CONFLICT (customer_id, month, meter_id, day) DO UPDATE
SET units = units + excluded.units, nanos = nanos + excluded.nanos, due = excluded.due""".replace(
        "SOME_INCLUDED", SOME_INCLUDED
    )
)


@dataclass(frozen=True)
class Recorded:
    """How many events of a batch were new, and how many were duplicates."""

    accepted: int
    duplicates: int


def record(customer_id: int, batch: Batch) -> Recorded:
    """Store the new events of a batch. Can be repeated: an identifier counts once, forever. Flushes.

    Raises InvalidInput for more than a day can hold; the caller has to roll back.
    """
    connection = db.session.connection()
    write = _at_once if connection.dialect.name == "postgresql" else _in_turn
    try:
        accepted = write(connection, customer_id, batch.rows)
    except IntegrityError:
        words = "A day of one meter holds no more than 10^17 units."
        raise InvalidInput(words, errors={"events": words}) from None
    if accepted < batch.sent:
        instruments.REPEATED.labels("usage_event").inc(batch.sent - accepted)
    return Recorded(accepted, batch.sent - accepted)


def _at_once(connection: Connection, customer_id: int, rows: list[Row]) -> int:
    names = ("identifiers", "meters", "units", "nanos", "moments", "months")
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    return int(connection.execute(AT_ONCE, {"customer": customer_id, **columns}).scalar_one())


def _in_turn(connection: Connection, customer_id: int, rows: list[Row]) -> int:
    identifiers = orjson.dumps([row.identifier for row in rows]).decode()
    known = set(connection.execute(KNOWN, {"customer": customer_id, "identifiers": identifiers}).scalars())
    fresh = [row for row in rows if row.identifier not in known] if known else rows
    if fresh:
        times = {moment: _stored(moment) for moment in {row.occurred_at for row in fresh}}
        stored = [(customer_id, *row[:4], times[row.occurred_at], row.month) for row in fresh]
        connection.exec_driver_sql(INSERT, stored)
        connection.execute(ADD, [{"customer": customer_id, **day} for day in _days(fresh)])
    return len(fresh)


def _days(rows: list[Row]) -> list[dict[str, Any]]:
    """Sum the rows by meter and day."""
    sums: dict[tuple[int, int, date], list[int]] = defaultdict(lambda: [0, 0])
    for _, meter, units, nanos, moment, month in rows:
        entry = sums[month, meter, moment.date()]
        entry[0] += units
        entry[1] += nanos
    return [
        {"month": month, "meter": meter, "day": day.isoformat(), "units": units, "nanos": nanos}
        for (month, meter, day), (units, nanos) in sums.items()
    ]


def _stored(moment: datetime) -> str:
    """Format a time as SQLAlchemy stores it on SQLite: in UTC, without a zone."""
    return moment.replace(tzinfo=None).isoformat(" ", "microseconds")
