"""Sums of each day (UTC), by mode and currency. The overview reads these, never the rows behind them."""

from datetime import date

from portal.enums import Mode
from portal.extensions import db, insert
from portal.models import DailyFigure, MrrMovement

WEBHOOKS = "webhooks."  # begins the names of what only /metrics shows
NO_CURRENCY = ""  # of counts and of credits


def add(mode: Mode, day: date, name: str, currency: str, amount: int) -> None:
    """Add to the sum of a day. Flushes."""
    key = {"mode": mode, "day": day, "name": name, "currency": currency}
    statement = insert(DailyFigure).values(**key, month=day.year * 100 + day.month, amount=amount)
    more = {"amount": DailyFigure.amount + statement.excluded.amount}
    db.session.execute(statement.on_conflict_do_update(index_elements=list(key), set_=more))


def add_movement(movement: MrrMovement) -> None:
    """Add a movement to its day: its amount, and one to the count of its kind. Flushes.

    A change of plan is counted by the plans before and after; "free" is none. An opening was no change.
    """
    mode, day, currency = movement.mode, movement.counts_on, movement.currency
    add(mode, day, f"mrr.{movement.kind}", currency, movement.amount)
    add(mode, day, f"subscriptions.{movement.kind}", currency, 1)
    before, after = movement.previous_tier or "free", movement.tier or "free"
    if movement.kind.is_change and before != after:
        add(mode, day, f"plans.{before}>{after}", currency, 1)
