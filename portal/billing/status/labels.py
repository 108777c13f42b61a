"""Labels of a subscription, which customers read instead of Stripe's status."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from portal.models import Plan, Subscription, SubscriptionStatus
from portal.web.pages import date_text


def status(subscription: Subscription, grace: timedelta, now: datetime) -> str:
    """Return one sentence about the subscription's status. `now` is the customer's clock."""
    if subscription.cancel_at and subscription.status.in_good_standing:
        return ending(subscription, "Ends")
    if subscription.status == SubscriptionStatus.TRIALING and subscription.trial_end:
        return f"Your trial runs until {date_text(subscription.trial_end)}."
    if subscription.status == SubscriptionStatus.ACTIVE and subscription.current_period_end:
        return f"Renews on {date_text(subscription.current_period_end)}."
    if subscription.status == SubscriptionStatus.PAST_DUE and subscription.past_due_since:
        return _past_due(subscription.past_due_since + grace, now)
    return OTHERS.get(subscription.status, "Its state at Stripe is being read.")


def ending(subscription: Subscription, it_ends: str) -> str:
    """Return when it ends, and whether it stays active until then: an unpaid one may end earlier."""
    if subscription.cancel_at is None:
        return ""
    kept = " You keep everything until then." if subscription.status.in_good_standing else ""
    return f"{it_ends} on {date_text(subscription.cancel_at)}.{kept}"


def ended(subscription: Subscription) -> str:
    """Return when it ended."""
    return (
        f"Your plan ended on {date_text(subscription.ended_at)}."
        if subscription.ended_at
        else "Your plan has ended."
    )


def _past_due(until: datetime, now: datetime) -> str:
    if now < until:
        return f"The last payment failed. Your plan stays until {date_text(until)}; please update your card."
    return f"The last payment failed, and your plan ended on {date_text(until)}. Paying brings it back at once."


OTHERS = {
    SubscriptionStatus.ACTIVE: "Active.",
    SubscriptionStatus.INCOMPLETE: "Waiting for the first payment to be confirmed.",
    SubscriptionStatus.UNPAID: "Payment failed and the plan has ended. Pay the open invoice to get it back.",
    SubscriptionStatus.PAUSED: "Paused. Nothing is charged for it, and it gives no access.",
}

USAGE = "Pay as you go"


def name(subscription: Subscription, plans: Mapping[str, Plan]) -> str:
    """Return the name of a subscription: its plan, pay as you go, or the products of what is not ours."""
    tier = subscription.tier
    return name_of(tier, plans.get(tier or ""), subscription.items, is_usage=subscription.is_usage)


def name_of(tier: str | None, plan: Plan | None, items: Sequence[Mapping[str, Any]], *, is_usage: bool) -> str:
    """Return the same from the values of a copy."""
    if tier is not None:
        return plan_name(tier, plan)
    if is_usage:
        return USAGE
    return ", ".join(dict.fromkeys(one["name"] for one in items if one["name"])) or "Subscription"


def plan_name(tier: str | None, plan: Plan | None) -> str:
    """Return the display name of a tier. Its plan may have left the catalogue."""
    return plan.name if plan else (tier or "Another plan").capitalize()
