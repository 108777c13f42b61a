"""Recording usage: the events, once for ever, and the sums of their days, together or not at all."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import orjson
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from portal.errors import InvalidInput
from portal.extensions import db
from portal.usage.batches import Batch, Row

# One statement: what was new feeds the sums.
AT_ONCE = text("""
WITH fresh AS (
    INSERT INTO usage_events (customer_id, identifier, meter_id, units, nanos, occurred_at, month)
    SELECT :customer, sent.* FROM unnest(
        CAST(:identifiers AS text[]), CAST(:meters AS int[]), CAST(:units AS bigint[]), CAST(:nanos AS int[]),
        CAST(:moments AS timestamptz[]), CAST(:months AS int[])) AS sent
    ON CONFLICT DO NOTHING
    RETURNING month, meter_id, CAST(occurred_at AT TIME ZONE 'UTC' AS date) AS day, units, nanos
), summed AS (
    INSERT INTO usage_days AS days (customer_id, month, meter_id, day, units, nanos)
    SELECT :customer, month, meter_id, day, sum(units), sum(nanos) FROM fresh
    GROUP BY month, meter_id, day ORDER BY month, meter_id, day
    ON CONFLICT (customer_id, month, meter_id, day) DO UPDATE
    SET units = days.units + excluded.units, nanos = days.nanos + excluded.nanos
)
SELECT count(*) FROM fresh""")

# SQLite has no CTE that writes: statements in turn, under its one write lock.
KNOWN = text("""
SELECT identifier FROM usage_events
WHERE customer_id = :customer AND identifier IN (SELECT value FROM json_each(:identifiers))""")
INSERT = """
INSERT INTO usage_events (customer_id, identifier, meter_id, units, nanos, occurred_at, month)
VALUES (?, ?, ?, ?, ?, ?, ?)"""
ADD = text("""
INSERT INTO usage_days (customer_id, month, meter_id, day, units, nanos)
VALUES (:customer, :month, :meter, :day, :units, :nanos)
ON CONFLICT (customer_id, month, meter_id, day) DO UPDATE
SET units = units + excluded.units, nanos = nanos + excluded.nanos""")


@dataclass(frozen=True)
class Recorded:
    """How many events of a batch were new, and how many were there already."""

    accepted: int
    duplicates: int


def record(customer_id: int, batch: Batch) -> Recorded:
    """Store what is new of a batch. Any number of times: an identifier counts once for ever. Flushes.

    Raises InvalidInput for more than a day can hold; what was written then has to be rolled back.
    """
    connection = db.session.connection()
    write = _at_once if connection.dialect.name == "postgresql" else _in_turn
    try:
        accepted = write(connection, customer_id, batch.rows)
    except IntegrityError:
        words = "A day of one meter holds no more than 10^17 units."
        raise InvalidInput(words, errors={"events": words}) from None
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
    """The sums of each meter and day."""
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
    """As SQLAlchemy writes times on SQLite: in UTC, without a zone."""
    return moment.replace(tzinfo=None).isoformat(" ", "microseconds")
