"""How many credits a month of a paid period gives, and until when."""

from datetime import datetime
from fractions import Fraction

from portal import money
from portal.allowances import billing_months
from portal.allowances.billing_months import BillingMonth
from portal.models import PeriodCredits, PlanPeriod


def part(month: BillingMonth, since: datetime, until: datetime) -> Fraction:
    """Return which part of a month lies between two times within it, exact to the second."""
    return Fraction(_seconds(until, since), _seconds(month.end, month.start))


def _seconds(later: datetime, earlier: datetime) -> int:
    return int((later - earlier).total_seconds())


def unused(given: PeriodCredits, since: datetime) -> Fraction:
    """Return how many credits of an earlier plan are for the time after `since`, spent or not."""
    return given.level * part(BillingMonth(given.starts_at, given.ends_at), since, given.until_at)


def difference(level: int, month: BillingMonth, since: datetime, until: datetime, before: Fraction) -> int:
    """Return the whole credits for a part of a month, without what an earlier plan gave for it. Never negative."""
    due = level * part(month, since, until) - before
    return money.half_up(due.numerator, due.denominator) if due > 0 else 0


def expiry(period: PlanPeriod, month: BillingMonth, until: datetime, paid_at: datetime) -> datetime:
    """Return when the credits of a month expire: with the month, or as many months later as they roll over.

    Credits of a month that was over when it was paid last until the end of the month of the payment.
    """
    ends = until
    if paid_at >= until and not period.is_trial:
        month = billing_months.containing(period.anchor_at, paid_at)
        ends = month.end
    if not period.rollover or period.is_trial:
        return ends
    last = billing_months.containing(period.anchor_at, month.start)
    for _ in range(period.rollover):
        last = billing_months.containing(period.anchor_at, last.end)
    return max(ends, last.end)
