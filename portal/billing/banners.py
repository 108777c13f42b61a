"""What a customer must not miss about a subscription."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from flask import url_for

from portal import money
from portal.billing import words
from portal.models import Invoice, Subscription
from portal.models.card import SavedCard
from portal.pages import date_text

TRIAL_ENDS_SOON = timedelta(days=3)  # when Stripe too says so, by trial_will_end
CARD_EXPIRES_SOON = timedelta(days=31)


@dataclass(frozen=True)
class Banner:
    """A sentence and one thing to do; `kind` is info, warning or negative. With `fields` it is a form's button."""

    kind: str
    text: str
    action_url: str | None = None
    action_label: str | None = None
    fields: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Names:
    """What people call the plan, and the one that is to come."""

    plan: str
    coming: str


def of(
    subscription: Subscription, invoices: list[Invoice], names: Names, grace: timedelta, now: datetime
) -> list[Banner]:
    """The banners of one subscription, the most pressing first; `now` is by the customer's clock."""
    found = (
        _unpaid(subscription, invoices, grace, now),
        _unconfirmed(subscription, invoices),
        _trial(subscription, now),
        _card(subscription, now),
        _ending(subscription, names.plan),
        _scheduled(subscription, names.coming),
    )
    return [banner for banner in found if banner]


def _unpaid(subscription: Subscription, invoices: list[Invoice], grace: timedelta, now: datetime) -> Banner | None:
    """A payment that failed or is to be confirmed leads to its open invoice."""
    if subscription.status not in ("past_due", "unpaid", "incomplete"):
        return None
    kind = "warning" if subscription.status == "incomplete" else "negative"
    due = _due(subscription, invoices)
    text = words.status(subscription, grace, now)
    if due is None or due.hosted_url is None:
        return Banner(kind, text)
    if due.needs_action:
        text = f"Your bank asks you to confirm the last payment. {text}"
    return Banner(kind, text, due.hosted_url, "Confirm payment" if due.needs_action else "Pay now")


def _trial(subscription: Subscription, now: datetime) -> Banner | None:
    """A trial that ends soon, and what it costs then."""
    if subscription.status != "trialing" or subscription.trial_end is None or subscription.cancel_at:
        return None
    if subscription.trial_end - now > TRIAL_ENDS_SOON:
        return None
    cost = money.text(subscription.amount, subscription.currency, short=True)
    how_often = money.every(subscription.interval, subscription.interval_count)
    text = f"Your trial ends on {date_text(subscription.trial_end)}. Then it is {cost} {how_often}"
    if subscription.card is None:
        return Banner("warning", f"{text}, and there is no card to pay with: add one, or the plan ends.")
    return Banner("info", f"{text}, unless you cancel before.")


def _card(subscription: Subscription, now: datetime) -> Banner | None:
    """A card that is about to expire."""
    card = subscription.card
    if subscription.status != "active" or card is None or subscription.cancel_at or not expires_soon(card, now):
        return None
    until = f"{card.exp_month:02}/{card.exp_year}"
    advice = "Put a newer one in its place, and no payment fails."
    return Banner("warning", f"The card ending in {card.last4} is good until {until}. {advice}")


def expires_soon(card: SavedCard, now: datetime) -> bool:
    """Whether a card is in its last month, at whose end it stops to work."""
    return ends_soon(card.exp_year, card.exp_month, now)


def ends_soon(year: int, month: int, now: datetime) -> bool:
    """Whether a month is about to end."""
    end = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
    return now < end <= now + CARD_EXPIRES_SOON


def _unconfirmed(subscription: Subscription, invoices: list[Invoice]) -> Banner | None:
    """A change that its payer's bank wants confirmed."""
    if subscription.pending_until is None:
        return None
    text = (
        "Your bank asks you to confirm the payment for your new plan. Until then everything stays as it is; after "
        f"{date_text(subscription.pending_until)} the change lapses."
    )
    due = _due(subscription, invoices)
    page = due.hosted_url if due else None
    return Banner("warning", text, page, "Confirm payment" if page else None)


def _ending(subscription: Subscription, plan: str) -> Banner | None:
    """Cancelled, here or elsewhere, and not over yet."""
    if subscription.cancel_at is None or subscription.ended_at:
        return None
    text = words.ending(subscription, f"Your {plan} plan ends")
    fields = {"subscription": subscription.stripe_id}
    return Banner("warning", text, url_for("plan.resume"), "Resume plan", fields)


def _scheduled(subscription: Subscription, coming: str) -> Banner | None:
    """Another plan from the next renewal on."""
    if subscription.next_at is None or subscription.cancel_at:
        return None
    cost = money.text(subscription.next_amount or 0, subscription.currency)
    how_often = money.every(subscription.next_interval or "month", subscription.next_interval_count or 1)
    text = f"Your plan changes to {coming}, {cost} {how_often}, on {date_text(subscription.next_at)}."
    fields = {"subscription": subscription.stripe_id}
    return Banner("info", text, url_for("plan.keep"), "Keep current plan", fields)


def _due(subscription: Subscription, invoices: list[Invoice]) -> Invoice | None:
    """The newest open invoice of the subscription."""
    mine = (one for one in invoices if one.subscription_id == subscription.stripe_id)
    return next((one for one in mine if one.status == "open"), None)
