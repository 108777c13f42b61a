"""What the billing page says of a subscription."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from portal.billing import banners, trials, words
from portal.billing.banners import Banner, Names
from portal.models import Invoice, Plan, Subscription


@dataclass(frozen=True)
class Overview:
    """A subscription in words. Of one that ends, `next_payment_at` is None: nothing more is charged."""

    row: Subscription
    plan_name: str
    status_words: str
    next_payment_at: datetime | None
    next_payment_amount: int
    can_change: bool
    can_cancel: bool
    banners: list[Banner]


def of(
    subscription: Subscription, invoices: list[Invoice], plans: Sequence[Plan], grace: timedelta, now: datetime
) -> Overview:
    """The overview of one subscription by the customer's `now`; `plans` are all of them, withdrawn ones too."""
    by_tier = {plan.tier: plan for plan in plans}
    name = words.name(subscription, by_tier)
    coming = words.plan_name(subscription.next_tier, by_tier.get(subscription.next_tier or ""))
    runs = subscription.status in ("active", "trialing")
    is_ending = subscription.cancel_at is not None
    return Overview(
        row=subscription,
        plan_name=name,
        status_words=words.status(subscription, grace, now),
        next_payment_at=subscription.current_period_end if runs and not is_ending else None,
        next_payment_amount=_next_amount(subscription),
        can_change=runs and not is_ending and subscription.tier is not None,
        can_cancel=subscription.status != "incomplete" and not is_ending,
        banners=[
            *banners.of(subscription, invoices, Names(name, coming), grace, now),
            *trials.refusal(subscription, now),
        ],
    )


def _next_amount(subscription: Subscription) -> int:
    """What is charged next: with its discounts, where there are any; what is scheduled by then counts."""
    if subscription.next_due is not None:
        return subscription.next_due
    ends, changes = subscription.current_period_end, subscription.next_at
    if ends and changes and subscription.next_amount is not None and changes <= ends:
        return subscription.next_amount
    return subscription.amount
