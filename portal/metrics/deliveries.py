"""Webhook deliveries by type and outcome, as numbers that only grow.

Stripe redelivers for three days, so a day's events still change. A day that is over for longer is summed once into
the daily sums (`webhooks.OUTCOME:TYPE`); the days since are read from the inbox.
"""

from collections import defaultdict
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import ColumnElement, func, select

from portal import clock
from portal.enums import Mode
from portal.extensions import db, insert, rows_changed
from portal.figures import daily
from portal.models import DailyFigure, StripeEvent

CLOSED = f"{daily.WEBHOOKS}closed"  # its newest day, in live mode, is the last one that is summed
OPEN_DAYS = timedelta(days=4)
AT_ONCE = 31  # days that one run sums

Totals = dict[tuple[Mode, str, str], int]  # by mode, type and outcome


def totals() -> Totals:
    """Return the numbers of all deliveries so far."""
    last = _last_day()
    found: Totals = defaultdict(int)
    if last:
        summed = select(DailyFigure.mode, DailyFigure.name, func.sum(DailyFigure.amount))
        summed = summed.where(DailyFigure.name.startswith(daily.WEBHOOKS), DailyFigure.day <= last)
        for mode, name, amount in db.session.execute(summed.group_by(DailyFigure.mode, DailyFigure.name)):
            outcome, _, kind = name.removeprefix(daily.WEBHOOKS).partition(":")
            if kind:
                found[mode, kind, outcome] += int(amount)
    for key, amount in _in_inbox(StripeEvent.received_at >= _after(last)).items():
        found[key] += amount
    return found


def _in_inbox(*when: ColumnElement[bool]) -> Totals:
    attempts, failures = func.sum(StripeEvent.attempts), func.sum(StripeEvent.failures)
    # Expressions: by the columns themselves SQLite groups along another index, and reads every event.
    by = (func.coalesce(StripeEvent.mode, ""), func.coalesce(StripeEvent.type, ""))
    query = select(*by, attempts, failures, func.sum(StripeEvent.duplicates))
    found: Totals = {}
    for mode, kind, tried, failed, again in db.session.execute(query.where(*when).group_by(*by)):
        mode = Mode(mode)
        found[mode, kind, "done"] = int(tried - failed)
        found[mode, kind, "failed"] = int(failed)
        found[mode, kind, "duplicate"] = int(again)
    return found


def run() -> int:
    """Sum the days that are over, oldest first, and return how many. Commits each."""
    done = 0
    while done < AT_ONCE and (day := _next_day()) is not None:
        key = {"mode": Mode.LIVE, "day": day, "name": CLOSED, "currency": daily.NO_CURRENCY}
        claim = insert(DailyFigure).values(**key, month=day.year * 100 + day.month, amount=0)
        if not rows_changed(claim.on_conflict_do_nothing()):  # another process has summed it meanwhile
            break
        within = (
            StripeEvent.received_at >= _begin(day),
            StripeEvent.received_at < _begin(day + timedelta(days=1)),
        )
        for (mode, kind, outcome), amount in sorted(_in_inbox(*within).items()):
            if amount:
                daily.add(mode, day, f"{daily.WEBHOOKS}{outcome}:{kind}", daily.NO_CURRENCY, amount)
        db.session.commit()
        done += 1
    db.session.rollback()
    return done


def _last_day() -> date | None:
    """Return the last day that is summed."""
    query = select(DailyFigure.day).filter_by(mode=Mode.LIVE, name=CLOSED)
    return db.session.execute(query.order_by(DailyFigure.day.desc()).limit(1)).scalar_one_or_none()


def _next_day() -> date | None:
    """Return the day to sum next; None if there is none yet."""
    next_one = select(StripeEvent.received_at).where(StripeEvent.received_at >= _after(_last_day()))
    first = db.session.execute(next_one.order_by(StripeEvent.received_at).limit(1)).scalar_one_or_none()
    if first is None or first.date() >= (clock.now() - OPEN_DAYS).date():
        return None
    return first.date()


def _after(last: date | None) -> datetime:
    """Return when the days that are not summed begin."""
    return _begin(last + timedelta(days=1)) if last else datetime(1970, 1, 1, tzinfo=UTC)


def _begin(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)
