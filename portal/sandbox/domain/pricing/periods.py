"""Billing periods: calendar months and years from the anchor, so 31 January, 28 February, 31 March."""

import calendar
import datetime as dt
from typing import Any

DAYS = {"day": 1, "week": 7}


def boundary(anchor: int, recurring: dict[str, Any], number: int) -> int:
    """Return the end of the number-th period from the anchor; times in seconds since 1970."""
    interval = recurring["interval"]
    count: int = recurring["interval_count"] * number
    if interval in DAYS:
        return anchor + count * DAYS[interval] * 86400
    start = dt.datetime.fromtimestamp(anchor, dt.UTC)
    months = start.year * 12 + start.month - 1 + count * (12 if interval == "year" else 1)
    year, month = divmod(months, 12)
    last = calendar.monthrange(year, month + 1)[1]
    return int(start.replace(year=year, month=month + 1, day=min(start.day, last)).timestamp())


def configured(config: dict[str, Any], now: int) -> int:
    """Return the next time that a billing_cycle_anchor_config names; omitted fields are as now."""
    moment = dt.datetime.fromtimestamp(now, dt.UTC)
    clock = {name: config[name] for name in ("hour", "minute", "second") if config.get(name) is not None}
    for ahead in range(25):
        year, month = divmod(moment.year * 12 + moment.month - 1 + ahead, 12)
        day = min(config["day_of_month"], calendar.monthrange(year, month + 1)[1])
        found = moment.replace(year=year, month=month + 1, day=day, **clock)
        if config.get("month") in (None, month + 1) and found.timestamp() > now:
            return int(found.timestamp())
    raise AssertionError("every month comes within two years")


def counted_from(anchor: int, config: dict[str, Any] | None) -> int:
    """Return the time that periods are counted from: for an anchor on 28 February that means the 31st, an
    earlier 31st.
    """
    if not config or config["month"]:
        return anchor
    moment = dt.datetime.fromtimestamp(anchor, dt.UTC)
    return int(moment.replace(month=1, day=config["day_of_month"]).timestamp())


def containing(anchor: int, recurring: dict[str, Any], moment: int) -> tuple[int, int]:
    """Return the period that contains a time, as start and end; the anchor may be after it."""
    number = 0
    while boundary(anchor, recurring, number) > moment:
        number -= 1
    while boundary(anchor, recurring, number + 1) <= moment:
        number += 1
    return boundary(anchor, recurring, number), boundary(anchor, recurring, number + 1)
