"""Checks that the daily totals equal the sums of the events."""

from typing import NamedTuple

from sqlalchemy import text

from portal.extensions import db

DAY = {"postgresql": "CAST(occurred_at AT TIME ZONE 'UTC' AS date)", "sqlite": "date(occurred_at)"}
DIFFERENCES = """
WITH counted AS (
    SELECT customer_id, month, meter_id, {day} AS day, sum(units) AS units, sum(nanos) AS nanos
    FROM usage_events GROUP BY customer_id, month, meter_id, {day}
)
SELECT coalesce(counted.customer_id, days.customer_id), coalesce(counted.month, days.month),
    coalesce(counted.meter_id, days.meter_id), coalesce(counted.day, days.day),
    counted.units, counted.nanos, days.units, days.nanos
FROM counted FULL JOIN usage_days AS days ON days.customer_id = counted.customer_id
    AND days.month = counted.month AND days.meter_id = counted.meter_id AND days.day = counted.day
WHERE counted.units IS NULL OR days.units IS NULL
    OR counted.units <> days.units OR counted.nanos <> days.nanos
ORDER BY 1, 2, 3, 4"""


class Difference(NamedTuple):
    """A day whose total differs from its events; None if one of the two is missing."""

    customer_id: int
    month: int
    meter_id: int
    day: str
    counted_units: int | None
    counted_nanos: int | None
    stored_units: int | None
    stored_nanos: int | None


def differences() -> list[Difference]:
    """List every day that differs. It is one statement, so it sees one moment."""
    connection = db.session.connection()
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
    statement = text(DIFFERENCES.format(day=DAY[connection.dialect.name]))
    found = [Difference(*row) for row in connection.execute(statement)]
    db.session.commit()
    return found
