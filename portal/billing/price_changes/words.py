"""When a subscription's price changes, and to what, in words."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from portal.allowances import billing_months
from portal.billing.upcoming import prices
from portal.models import PriceChange, Subscription, SubscriptionPart
from portal.web.pages import date_text

MONTHS = {"month": 1, "year": 12}
SAME_IN_EACH_MONTH = 28  # a renewal on a later day moves in shorter months


def of(subscription: Subscription) -> PriceChange | None:
    """Return the change that its next renewals bring; None if it ends, or changes to another plan."""
    change = subscription.price_change
    if change is None or subscription.cancel_at or subscription.next_at or subscription.ended_at:
        return None
    return change if change.from_price in (part.price_id for part in subscription.parts) else None


def price(subscription: Subscription, change: PriceChange) -> str:
    """Return the new price as text: 5 × $59.99 a month."""
    return prices.text(part(subscription, change))


def part(subscription: Subscription, change: PriceChange) -> SubscriptionPart:
    """Return the changed item at its new price."""
    now = next(one for one in subscription.parts if one.price_id == change.from_price)
    cost = change.amount * now.quantity
    return replace(now, price_id=change.to_price, unit=str(change.amount), amount=cost)


def at(subscription: Subscription, change: PriceChange) -> datetime | None:
    """Return the first renewal after the notice; None if only Stripe knows its day."""
    ends = subscription.current_period_end
    if ends is None or ends >= change.notice_until:
        return ends
    if subscription.interval not in MONTHS or ends.day > SAME_IN_EACH_MONTH:
        return None
    return next(one for one in _renewals(ends, subscription) if one >= change.notice_until)


def _renewals(ends: datetime, subscription: Subscription) -> Iterator[datetime]:
    months = 0
    while True:
        yield billing_months.later(ends, months)
        months += MONTHS[subscription.interval] * subscription.interval_count


def when(subscription: Subscription, change: PriceChange) -> str:
    """Return when it changes: "on Jan 31, 2027"."""
    day = at(subscription, change)
    if day is None:
        return f"with your first renewal after {date_text(change.notice_until)}"
    return f"on {date_text(day)}"
