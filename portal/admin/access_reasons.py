"""Why a customer has or lacks access: the result, and each reason for and against, by the rules of access."""

import re
from dataclasses import dataclass
from datetime import timedelta

from portal import clock
from portal.customers import access
from portal.customers.access import Access
from portal.models import Customer, Subscription, SubscriptionStatus, Suspension
from portal.models.suspension import SuspensionReason
from portal.settings import current_settings
from portal.web.pages import date_text, datetime_text

AT_STRIPE = re.compile(r"(cus|sub|in|dp|du|pm)_")


@dataclass(frozen=True)
class Reason:
    """One rule, and whether it grants access. `about` is the related object at Stripe, if any."""

    allows: bool | None  # None: neither, it only explains the others
    words: str
    about: str | None = None


ENDS = {
    SuspensionReason.SUBSCRIPTION_ENDED: "a plan, credits or a new agreement lifts it",
    SuspensionReason.NO_PAYMENT_METHOD: "a payment method lifts it",
    SuspensionReason.UNPAID: "paying the invoice lifts it",
    SuspensionReason.DISPUTE: "winning the dispute, or an admin, lifts it",
    SuspensionReason.ADMIN: "an admin lifts it",
}


def of(
    customer: Customer, mine: Access, subscriptions: list[Subscription], suspended: list[Suspension]
) -> list[Reason]:
    """List every reason, the deciding one first."""
    reasons = [_of_subscription(one, customer) for one in subscriptions]
    deciding = mine.subscription and mine.subscription.stripe_id
    reasons.sort(key=lambda reason: reason.about != deciding)
    reasons[:0] = [_of_suspension(one) for one in suspended]
    if mine.subscription is None:
        reasons.append(_without(mine))
    if customer.clock_at:
        reasons.append(Reason(None, f"Their time is a test clock's: {datetime_text(customer.clock_at)}."))
    if customer.credit_balance < 0:
        owed = f"{-customer.credit_balance:,} credits are owed: spending answers 402 until a purchase pays them."
        reasons.append(Reason(False, owed))
    return reasons


def _of_suspension(one: Suspension) -> Reason:
    since, reason = datetime_text(one.created_at), SuspensionReason(one.reason)
    words = f"Suspended since {since} ({reason}): keys answer 402, whatever was bought; {ENDS[reason]}."
    return Reason(False, words, one.about if AT_STRIPE.match(one.about) else None)


def _without(mine: Access) -> Reason:
    if mine.tier == access.FREE:
        return Reason(False, "No subscription gives access now, so the free plan's entitlements hold.")
    if mine.owned and mine.owned.is_given:
        until = f"until {datetime_text(mine.owned.until)}" if mine.owned.until else "until an admin ends it"
        return Reason(True, f"{mine.plan_name} was given by an admin, {until}.")
    return Reason(True, f"{mine.plan_name} was paid once, and does not end.")


def _of_subscription(one: Subscription, customer: Customer) -> Reason:
    now, grace = clock.now(customer.clock_at), access.grace_of(one, customer)
    plan = (one.tier or "pay as you go").capitalize()
    if one.tier is None:
        ended = f" It ended on {date_text(one.ended_at)}." if one.ended_at else ""
        return Reason(None, f"Pay as you go: it gives no tier of its own.{ended}", one.stripe_id)
    allows = access.grants(one, now, grace)
    return Reason(allows, f"{plan} is {one.status.replace('_', ' ')}{_because(one, grace, allows)}", one.stripe_id)


def _because(one: Subscription, grace: timedelta, allows: bool) -> str:
    if one.status == SubscriptionStatus.PAST_DUE and one.past_due_since:
        until = date_text(one.past_due_since + grace)
        longer = " (an admin gave longer)" if grace > timedelta(days=current_settings().grace_days) else ""
        kept = "keeps" if allows else "kept"
        return f" since {date_text(one.past_due_since)}: the grace period {kept} it until {until}{longer}."
    if one.ended_at:
        return f": it ended on {date_text(one.ended_at)}."
    if one.cancel_at:
        return f", and ends on {date_text(one.cancel_at)}."
    if allows and one.current_period_end:
        return f", paid until {date_text(one.current_period_end)}."
    return ", which gives no access." if not allows else "."
