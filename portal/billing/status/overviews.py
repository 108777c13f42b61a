"""What the billing page shows about a subscription."""

from dataclasses import dataclass
from datetime import datetime

from portal.billing.lifecycle import trials
from portal.billing.plan_change import slow_payments
from portal.billing.status import banners, labels
from portal.billing.status.banners import Banner, Names
from portal.billing.upcoming import next_invoice, prices, terms
from portal.billing.upcoming.mine import Mine
from portal.billing.upcoming.next_invoice import Next
from portal.customers import access
from portal.models import Subscription, SubscriptionStatus
from portal.web.pages import date_text


@dataclass(frozen=True)
class Overview:
    """A subscription as text. `coming` is its next invoice; None if nothing more is charged for it."""

    row: Subscription
    plan_name: str
    price: str  # 5 × $199
    prices: list[str]  # of each item, with how often
    status_words: str
    coming: Next | None
    notes: list[str]
    needs_method: bool
    can_change: bool
    can_cancel: bool
    banners: list[Banner]


def of(subscription: Subscription, mine: Mine, now: datetime) -> Overview:
    """Return the overview of one of the customer's subscriptions at their `now`."""
    by_tier = {plan.tier: plan for plan in mine.plans}
    name = labels.name(subscription, by_tier)
    coming = labels.plan_name(subscription.next_tier, by_tier.get(subscription.next_tier or ""))
    grace = access.grace_of(subscription, mine.customer)
    invoices, paying = list(mine.invoices), mine.subscriptions[subscription]
    is_ending = subscription.cancel_at is not None
    due = next_invoice.of(subscription, mine.asked_at(subscription))
    parts = subscription.parts
    return Overview(
        row=subscription,
        plan_name=name,
        price=prices.each(parts[0], short=True) if parts else prices.of(subscription),
        prices=prices.all_of(subscription),
        status_words=_status(subscription, coming) or labels.status(subscription, grace, now),
        coming=due,
        notes=terms.notes(subscription),
        needs_method=terms.needs_method(subscription),
        can_change=_can_change(subscription) and paying is None,
        can_cancel=subscription.status != SubscriptionStatus.INCOMPLETE and not is_ending,
        banners=[
            *([slow_payments.banner(paying, invoices, mine.plans)] if paying else []),
            *banners.of(subscription, invoices, Names(name, coming), grace, now, due),
            *trials.refusal(subscription, now),
        ],
    )


def _can_change(subscription: Subscription) -> bool:
    going_on = subscription.status.in_good_standing and subscription.cancel_at is None
    return going_on and subscription.tier is not None


def _status(subscription: Subscription, coming: str) -> str:
    """Return what a schedule does at the next renewal, which then is none of the same plan."""
    at = subscription.next_at
    if at is None or subscription.cancel_at or at != subscription.current_period_end:
        return ""
    return f"Changes to {coming} on {date_text(at)}."
