"""The price of a subscription's items as text: 5 × $199.00 a month."""

from collections.abc import Sequence
from decimal import Decimal

from portal import money
from portal.models import Subscription, SubscriptionPart


def text(part: SubscriptionPart) -> str:
    """Return what an item costs and how often, as a list price."""
    how_often = money.every(part.interval, part.interval_count)
    if part.metered:
        return f"By usage, charged {adverb(*part.cycle)}"
    if part.in_tiers:
        return f"{_sum(part)} {how_often} for {part.quantity:,} (volume pricing)"
    if part.package > 1:
        return f"{_times(part, part.packages)} {how_often}, for {part.quantity:,} in packages of {part.package:,}"
    return f"{_times(part, part.quantity)} {how_often}"


def each(part: SubscriptionPart, *, short: bool = False) -> str:
    """Return the same without how often: 5 × $199.00, or 5 × $199 if it is `short`."""
    if part.metered:
        return "By usage"
    if part.in_tiers:
        return _sum(part)
    return _times(part, part.packages if part.package > 1 else part.quantity, short=short)


def listed(parts: Sequence[SubscriptionPart]) -> list[str]:
    """Return the price of each item; those beside the plan with their names."""
    return [text(part) if part.is_plan or not part.name else f"{part.name}: {text(part)}" for part in parts]


def of(subscription: Subscription) -> str:
    """Return the price of the item that decides the plan."""
    return all_of(subscription)[0]


def all_of(subscription: Subscription) -> list[str]:
    """Return the price of each item, the plan's first; of a copy from before items were stored, their sum."""
    if subscription.items:
        return listed(subscription.parts)
    cost = money.text(subscription.amount, subscription.currency)
    return [f"{cost} {money.every(*subscription.cycle)}"]


def _times(part: SubscriptionPart, count: int, *, short: bool = False) -> str:
    one = unit(part.unit_price or Decimal(0), part.currency, short=short)
    return one if count == 1 else f"{count:,} × {one}"


def _sum(part: SubscriptionPart) -> str:
    return "Tiered price" if part.amount is None else money.text(part.amount, part.currency)


def unit(exact: Decimal, currency: str, *, short: bool = False) -> str:
    """Return an exact price in minor units, which may be a fraction of a cent, as text."""
    if exact == exact.to_integral_value():
        return money.text(int(exact), currency, short=short)
    exponent = exact.normalize().as_tuple().exponent
    assert isinstance(exponent, int)
    places = money.exponent(currency) - exponent
    return money.unit_text(exact.scaleb(-money.exponent(currency)), currency, decimals=places)


def adverb(interval: str, count: int) -> str:
    """Return how often something is charged: "monthly", or "every 3 months"."""
    cycles = {("month", 1): "monthly", ("year", 1): "yearly", ("week", 1): "weekly", ("day", 1): "daily"}
    return cycles.get((interval, count)) or money.every(interval, count)


def coming(subscription: Subscription) -> str:
    """Return the price that a schedule changes a subscription to."""
    parts = subscription.coming_parts
    return text(parts[0]) if parts else ""
