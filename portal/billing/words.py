"""A subscription in words: what a customer should read instead of Stripe's status."""

from datetime import datetime, timedelta

from portal.models import Plan, Subscription
from portal.pages import date_text


def status(subscription: Subscription, grace: timedelta, now: datetime) -> str:
    """One sentence about where the subscription stands; `now` by the customer's clock."""
    if subscription.cancel_at and subscription.status in ("active", "trialing"):
        return ending(subscription, "Ends")
    if subscription.status == "trialing" and subscription.trial_end:
        return f"Your trial runs until {date_text(subscription.trial_end)}."
    if subscription.status == "active" and subscription.current_period_end:
        return f"Renews on {date_text(subscription.current_period_end)}."
    if subscription.status == "past_due" and subscription.past_due_since:
        return _past_due(subscription.past_due_since + grace, now)
    return OTHERS.get(subscription.status, "Its state at Stripe is being read.")


def ending(subscription: Subscription, it_ends: str) -> str:
    """When it ends, and that it is kept until then, where that is so: one that is not paid is kept for less."""
    if subscription.cancel_at is None:
        return ""
    kept = " You keep everything until then." if subscription.status in ("active", "trialing") else ""
    return f"{it_ends} on {date_text(subscription.cancel_at)}.{kept}"


def _past_due(until: datetime, now: datetime) -> str:
    if now < until:
        return f"The last payment failed. Your plan stays until {date_text(until)}; please update your card."
    return f"The last payment failed, and your plan ended on {date_text(until)}. Paying brings it back at once."


OTHERS = {
    "active": "Active.",
    "incomplete": "Waiting for the first payment to be confirmed.",
    "unpaid": "Payment failed and the plan has ended. Update your card to get it back.",
    "paused": "Paused: nothing is charged, and the plan rests.",
}


def name(subscription: Subscription, plans: dict[str, Plan]) -> str:
    """The name of a subscription's plan."""
    return plan_name(subscription.tier, plans.get(subscription.tier or ""))


def plan_name(tier: str | None, plan: Plan | None) -> str:
    """What people call a tier; its plan may have left the catalogue."""
    return plan.name if plan else (tier or "Pay as you go").capitalize()
