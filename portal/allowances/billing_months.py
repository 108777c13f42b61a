"""The months of a subscription, from the anchor's day: 31 January, 28 February, 31 March.

A monthly period is one of them, a year has twelve. All times are UTC, as Stripe's are.
"""

import calendar
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

SHORTEST, LONGEST = timedelta(days=27), timedelta(days=32)


class BillingMonth(NamedTuple):
    """A month from one anchor day to the next."""

    start: datetime
    end: datetime


def later(anchor: datetime, months: int) -> datetime:
    """Return the anchor's day so many months later; in a shorter month that month's last day."""
    year, month = divmod(anchor.year * 12 + anchor.month - 1 + months, 12)
    last = calendar.monthrange(year, month + 1)[1]
    return anchor.replace(year=year, month=month + 1, day=min(anchor.day, last))


def containing(anchor: datetime, moment: datetime) -> BillingMonth:
    """Return the month that contains a time, before or after the anchor."""
    number = (moment.year - anchor.year) * 12 + moment.month - anchor.month
    if later(anchor, number) > moment:
        number -= 1
    return BillingMonth(later(anchor, number), later(anchor, number + 1))


def of_period(anchor: datetime, starts: datetime, ends: datetime) -> Iterator[BillingMonth]:
    """Yield the months that a period touches, oldest first. A monthly period is one month, as Stripe counts it.

    The first and the last can reach beyond the period: a first period can be shorter, until its anchor.
    """
    if SHORTEST <= ends - starts <= LONGEST:
        yield BillingMonth(starts, ends)
        return
    month = containing(anchor, starts)
    while month.start < ends:
        yield month
        month = containing(anchor, month.end)
