"""Billing periods: calendar months and years from the anchor, so 31 January, 28 February, 31 March."""

import calendar
import datetime as dt
from typing import Any

DAYS = {"day": 1, "week": 7}


def boundary(anchor: int, recurring: dict[str, Any], number: int) -> int:
    """When the number-th period from the anchor ends; times in seconds since 1970."""
    interval = recurring["interval"]
    count: int = recurring["interval_count"] * number
    if interval in DAYS:
        return anchor + count * DAYS[interval] * 86400
    start = dt.datetime.fromtimestamp(anchor, dt.UTC)
    months = start.year * 12 + start.month - 1 + count * (12 if interval == "year" else 1)
    year, month = divmod(months, 12)
    last = calendar.monthrange(year, month + 1)[1]
    return int(start.replace(year=year, month=month + 1, day=min(start.day, last)).timestamp())


def containing(anchor: int, recurring: dict[str, Any], moment: int) -> tuple[int, int]:
    """The period that a moment falls into, as start and end."""
    number = 0
    while boundary(anchor, recurring, number + 1) <= moment:
        number += 1
    return boundary(anchor, recurring, number), boundary(anchor, recurring, number + 1)
