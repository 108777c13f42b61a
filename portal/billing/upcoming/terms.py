"""The terms of a subscription that change how, when or how much is charged, and their words for the customer."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from portal import gateway, money
from portal.billing.upcoming.prices import adverb
from portal.models import Subscription, SubscriptionStatus
from portal.web.pages import date_text, rfc3339

NOT_CHARGED = ("void", "mark_uncollectible")


def of(facts: gateway.Subscription) -> dict[str, Any]:
    """Return the terms as they are stored with our copy; those that do not apply are left out."""
    given = {
        "sent": facts.is_sent,
        "days_until_due": facts.days_until_due if facts.is_sent else None,
        "paused": facts.collection_paused,
        "resumes_at": rfc3339(facts.collection_resumes_at),
        "without_method": facts.trial_without_method,
        "discounts": [_discount(one) for one in _discounts(facts)],
        "automatic_tax": facts.has_automatic_tax,
        "threshold": facts.threshold,
        "units_threshold": facts.units_threshold,
        "extras_every": list(facts.extras_every) if facts.extras_every else None,
        "shown_in": facts.shown_in if facts.shown_in != facts.currency else None,
        "description": facts.description,
    }
    return {name: value for name, value in given.items() if value}


def _discounts(facts: gateway.Subscription) -> Iterator[gateway.Discount]:
    if facts.discounts:
        yield from facts.discounts
    elif facts.customers_discount:
        yield facts.customers_discount
    for item in facts.items:
        yield from item.discounts


def _discount(one: gateway.Discount) -> dict[str, Any]:
    off = ""
    if one.percent_off is not None:
        off = f"{one.percent_off.normalize():f}% off"
    elif one.amount_off is not None and one.currency:
        off = f"{money.text(one.amount_off, one.currency)} off"
    return {"off": off, "name": one.name, "ends": rfc3339(one.ends), "once": one.once}


def is_sent(subscription: Subscription) -> bool:
    """Return whether its invoices are emailed to be paid, instead of charged."""
    return bool(subscription.terms.get("sent"))


def rests(subscription: Subscription, at: datetime | None) -> bool:
    """Return whether collection is paused at that time, so that its invoice is not charged then."""
    if not subscription.terms.get("paused"):
        return False
    resumes = _time(subscription, "resumes_at")
    return resumes is None or at is None or at < resumes


def notes(subscription: Subscription) -> list[str]:
    """Return a sentence for each of the terms that the customer should know."""
    return [*_how(subscription), *_pause(subscription), *_off(subscription), *_beyond(subscription)]


def _how(subscription: Subscription) -> Iterator[str]:
    if subscription.terms.get("description"):
        yield subscription.terms["description"]
    if is_sent(subscription):
        days = subscription.terms.get("days_until_due")
        due = f" and are due within {days} days" if days else ""
        yield f"Invoices are sent to you by email{due}. Nothing is charged automatically."


def _pause(subscription: Subscription) -> Iterator[str]:
    behavior = subscription.terms.get("paused")
    if not behavior:
        return
    resumes = _time(subscription, "resumes_at")
    until = f" until {date_text(resumes)}" if resumes else ""
    if behavior in NOT_CHARGED:
        yield f"Payments are paused{until}. Invoices of this time are not charged."
    else:
        yield f"Payments are paused{until}. Invoices of this time are kept as drafts and may be charged later."


def _off(subscription: Subscription) -> Iterator[str]:
    for one in subscription.terms.get("discounts", ()):
        what = " ".join(part for part in (one["off"], f"({one['name']})" if one["name"] else "") if part)
        when = ""
        if one["once"]:
            when = " the next invoice"
        elif one["ends"]:
            when = f" until {date_text(datetime.fromisoformat(one['ends']))}"
        yield f"{what or 'Discount'}{when}."


def _beyond(subscription: Subscription) -> Iterator[str]:
    threshold = subscription.terms.get("threshold")
    if threshold:
        amount = money.text(threshold, subscription.currency)
        yield f"When the amount of a period reaches {amount}, it is charged then, before the period ends."
    if units := subscription.terms.get("units_threshold"):
        yield f"When usage reaches {units:,} units, it is charged then, before the period ends."
    if every := subscription.terms.get("extras_every"):
        yield f"What is added to it is charged {adverb(every[0], every[1])}, not with the renewal."
    if shown_in := subscription.terms.get("shown_in"):
        yield (
            f"You pay in {shown_in.upper()} at Stripe's exchange rate of the day. Amounts here are in "
            f"{subscription.currency.upper()}."
        )


def without_method(subscription: Subscription) -> str:
    """Return what happens at the end of a trial without a payment method: cancel, pause or create_invoice."""
    return str(subscription.terms.get("without_method") or "create_invoice")


def needs_method(subscription: Subscription) -> bool:
    """Return whether its next payment fails because nothing is saved to pay with."""
    if not subscription.items:  # a copy from before this was stored
        return False
    charged = SubscriptionStatus(subscription.status).is_running and not is_sent(subscription)
    return charged and subscription.method_type is None and subscription.cancel_at is None


def _time(subscription: Subscription, name: str) -> datetime | None:
    value = subscription.terms.get(name)
    return datetime.fromisoformat(value) if value else None
