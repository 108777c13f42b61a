"""What a customer must not miss about a subscription."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from portal import money
from portal.billing import words
from portal.models import Invoice, Subscription
from portal.models.card import SavedCard
from portal.pages import date_text

TRIAL_ENDS_SOON = timedelta(days=3)  # when Stripe too says so, by trial_will_end
CARD_EXPIRES_SOON = timedelta(days=31)


@dataclass(frozen=True)
class Banner:
    """A sentence and one thing to do; `kind` is info, warning or negative."""

    kind: str
    text: str
    action_url: str | None = None
    action_label: str | None = None


def of(subscription: Subscription, grace: timedelta, now: datetime, invoices: list[Invoice]) -> list[Banner]:
    """The banners of one subscription: a payment failed or waits to be confirmed, a trial or a card ends soon.

    `now` is by the customer's clock. What is to be paid leads to its open invoice.
    """
    if subscription.status == "trialing":
        return _trial(subscription, now)
    if subscription.status == "active":
        return _card(subscription, now)
    if subscription.status not in ("past_due", "unpaid", "incomplete"):
        return []
    kind = "warning" if subscription.status == "incomplete" else "negative"
    due = next((one for one in invoices if _is_due(one, subscription)), None)
    text = words.status(subscription, grace, now)
    if due is None or due.hosted_url is None:
        return [Banner(kind, text)]
    if due.needs_action:
        text = f"Your bank asks you to confirm the last payment. {text}"
    return [Banner(kind, text, due.hosted_url, "Confirm payment" if due.needs_action else "Pay now")]


def _trial(subscription: Subscription, now: datetime) -> list[Banner]:
    if subscription.trial_end is None or subscription.cancel_at or subscription.trial_end - now > TRIAL_ENDS_SOON:
        return []
    cost = money.text(subscription.amount, subscription.currency, short=True)
    how_often = money.every(subscription.interval, subscription.interval_count)
    text = f"Your trial ends on {date_text(subscription.trial_end)}. Then it is {cost} {how_often}"
    if subscription.card is None:
        return [Banner("warning", f"{text}, and there is no card to pay with: add one, or the plan ends.")]
    return [Banner("info", f"{text}, unless you cancel before.")]


def _card(subscription: Subscription, now: datetime) -> list[Banner]:
    card = subscription.card
    if card is None or subscription.cancel_at or not expires_soon(card, now):
        return []
    until = f"{card.exp_month:02}/{card.exp_year}"
    advice = "Put a newer one in its place, and no payment fails."
    return [Banner("warning", f"The card ending in {card.last4} is good until {until}. {advice}")]


def expires_soon(card: SavedCard, now: datetime) -> bool:
    """Whether a card is in its last month, at whose end it stops to work."""
    end = datetime(card.exp_year + card.exp_month // 12, card.exp_month % 12 + 1, 1, tzinfo=UTC)
    return now < end <= now + CARD_EXPIRES_SOON


def _is_due(invoice: Invoice, subscription: Subscription) -> bool:
    return invoice.status == "open" and invoice.subscription_id == subscription.stripe_id
