"""Monthly recurring revenue (MRR) of a subscription, as a sync writes it.

Counted are the recurring items of a plan that is active or past due, at their price, normalized to a month, minus
discounts that last. Not counted are trials, usage, one-time plans, taxes, discounts of one invoice, and a plan
whose invoices are voided or written off while its collection is paused.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from portal import clock, gateway, money
from portal.models import SubscriptionStatus

COUNTED = (SubscriptionStatus.ACTIVE, SubscriptionStatus.PAST_DUE)
NOT_CHARGED = ("void", "mark_uncollectible")
# How many of an interval a month has: 365 days and 52 weeks in 12 months.
PER_MONTH = {
    "day": Decimal(365) / 12,
    "week": Decimal(52) / 12,
    "month": Decimal(1),
    "year": Decimal(1) / 12,
}


def columns(
    facts: gateway.Subscription, known: Any, *, tier: str | None, now: datetime, is_held: bool
) -> dict[str, Any]:
    """Return what a sync writes: the MRR, and since when it is this one.

    `known` has the columns of our copy, all None if there is none yet. While a change waits for its payment
    (`is_held`), the MRR stays, unless the plan ends.
    """
    amount = of(facts, now) if tier else 0
    if is_held and amount:
        amount = known.mrr
    changed = known.mrr_since is None or amount != known.mrr
    return {
        "mrr": amount,
        "mrr_since": clock.now() if changed else known.mrr_since,
        "mrr_opening": bool(known.mrr_opening) and amount > 0,
    }


def of(facts: gateway.Subscription, now: datetime) -> int:
    """Return the MRR in minor units of the subscription's currency, rounded once, half up."""
    if SubscriptionStatus(facts.status) not in COUNTED or facts.collection_paused in NOT_CHARGED:
        return 0
    costs = [(item, _monthly(item.cost or 0, item.price)) for item in facts.items]
    left = sum((_after(cost, item.discounts, item.price, now) for item, cost in costs), Decimal(0))
    own = facts.discounts or ((facts.customers_discount,) if facts.customers_discount else ())
    return money.round_half_up(_after(left, own, facts.items[0].price, now)) if facts.items else 0


def _monthly(amount: Decimal | int, price: gateway.Price) -> Decimal:
    """Return what an amount of each of the price's cycles comes to in a month."""
    return amount * PER_MONTH[price.interval or "month"] / price.interval_count


def _after(amount: Decimal, discounts: Sequence[gateway.Discount], price: gateway.Price, now: datetime) -> Decimal:
    """Return a monthly amount after its lasting discounts, in their order. It is never below 0.

    An amount off is taken once a cycle, so it is normalized as the price is.
    """
    for one in discounts:
        if one.once or not one.lasts(now):
            continue
        if one.percent_off is not None:
            amount -= amount * one.percent_off / 100
        elif one.amount_off is not None and one.currency == price.currency:
            amount -= _monthly(one.amount_off, price)
    return max(amount, Decimal(0))
