"""Banners about a subscription that needs the customer's attention."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from flask import url_for

from portal import money
from portal.billing.price_changes import words
from portal.billing.status import labels
from portal.billing.upcoming import prices, terms
from portal.billing.upcoming.next_invoice import Next
from portal.models import Invoice, Subscription, SubscriptionStatus
from portal.models.card import SavedCard
from portal.web.pages import date_text

TRIAL_ENDS_SOON = timedelta(days=3)  # when Stripe sends trial_will_end too
CARD_EXPIRES_SOON = timedelta(days=31)
# By Stripe's trial_settings.end_behavior.missing_payment_method.
WITHOUT_METHOD = {
    "cancel": "the plan ends",
    "pause": "the plan is paused",
    "create_invoice": "the payment fails",
}


@dataclass(frozen=True)
class Banner:
    """A sentence and one action. `kind` is info, warning or negative. With `fields` the action is a form's
    button.
    """

    kind: str
    text: str
    action_url: str | None = None
    action_label: str | None = None
    fields: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Names:
    """The names of the current plan and of the scheduled one."""

    plan: str
    coming: str


def of(
    subscription: Subscription,
    invoices: list[Invoice],
    names: Names,
    grace: timedelta,
    now: datetime,
    due: Next | None = None,
) -> list[Banner]:
    """List the banners of one subscription, most urgent first. `now` is the customer's clock, `due` its next
    invoice.
    """
    found = (
        _unpaid(subscription, invoices, grace, now),
        _unconfirmed(subscription, invoices),
        _trial(subscription, now, due),
        _no_method(subscription, names.plan, due),
        _card(subscription, now),
        _ending(subscription, names.plan),
        _scheduled(subscription, names.coming),
        _other_price(subscription),
    )
    return [banner for banner in found if banner]


def _unpaid(subscription: Subscription, invoices: list[Invoice], grace: timedelta, now: datetime) -> Banner | None:
    """Return the banner of a failed or unconfirmed payment, which links to its open invoice."""
    if not (subscription.status.is_owing or subscription.status == SubscriptionStatus.INCOMPLETE):
        return None
    kind = "warning" if subscription.status == SubscriptionStatus.INCOMPLETE else "negative"
    due = _due(subscription, invoices)
    text = labels.status(subscription, grace, now)
    if due is None or due.hosted_url is None:
        return Banner(kind, text)
    if due.needs_action:
        text = f"Your bank asks you to confirm the last payment. {text}"
    return Banner(kind, text, due.hosted_url, "Confirm payment" if due.needs_action else "Pay now")


def _trial(subscription: Subscription, now: datetime, due: Next | None) -> Banner | None:
    """Return the banner of a trial that ends soon, with its price afterwards."""
    if (
        subscription.status != SubscriptionStatus.TRIALING
        or subscription.trial_end is None
        or subscription.cancel_at
    ):
        return None
    if subscription.trial_end - now > TRIAL_ENDS_SOON:
        return None
    text = f"Your trial ends on {date_text(subscription.trial_end)}. {_after_trial(subscription, due)}"
    if terms.needs_method(subscription):
        without = WITHOUT_METHOD.get(terms.without_method(subscription), WITHOUT_METHOD["create_invoice"])
        text = f"{text}. No payment method is saved: add one, or {without}."
        return Banner("warning", text, *_add_method(subscription))
    return Banner("info", f"{text}, unless you cancel before.")


def _after_trial(subscription: Subscription, due: Next | None) -> str:
    if due and due.amount is not None and due.at == subscription.trial_end:
        return f"Then you pay {money.text(due.amount, due.currency, short=True)}"
    return f"Then it is {prices.of(subscription)}"


def _no_method(subscription: Subscription, plan: str, due: Next | None) -> Banner | None:
    """Return the banner of a subscription whose next payment fails, because nothing is saved to pay with."""
    if subscription.status != SubscriptionStatus.ACTIVE or not terms.needs_method(subscription):
        return None
    if due is None or due.amount == 0:
        return None
    fails = f"the next payment for {plan} on {date_text(due.at)} will fail"
    text = f"No payment method is saved, so {fails}. Add one to keep it."
    return Banner("warning", text, *_add_method(subscription))


def _add_method(subscription: Subscription) -> tuple[str, str, dict[str, str]]:
    fields = {"subscription": subscription.stripe_id, "flow": "payment_method_update"}
    return url_for("billing.portal"), "Add payment method", fields


def _card(subscription: Subscription, now: datetime) -> Banner | None:
    """Return the banner of a card that is about to expire."""
    card = subscription.card
    if (
        subscription.status != SubscriptionStatus.ACTIVE
        or card is None
        or subscription.cancel_at
        or not expires_soon(card, now)
    ):
        return None
    expires = f"{card.exp_month:02}/{card.exp_year}"
    advice = "Replace it, and no payment fails."
    return Banner("warning", f"The card ending in {card.last4} expires {expires}. {advice}")


def expires_soon(card: SavedCard, now: datetime) -> bool:
    """Return whether a card is in its last month. It stops working when the month ends."""
    return ends_soon(card.exp_year, card.exp_month, now)


def ends_soon(year: int, month: int, now: datetime) -> bool:
    """Return whether a month is about to end."""
    end = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
    return now < end <= now + CARD_EXPIRES_SOON


def _unconfirmed(subscription: Subscription, invoices: list[Invoice]) -> Banner | None:
    """Return the banner of a change that waits for its payment."""
    if subscription.pending_until is None:
        return None
    due = _due(subscription, invoices)
    page = due.hosted_url if due else None
    asks = due is None or due.needs_action
    why = (
        "Your bank asks you to confirm the payment for your new plan."
        if asks
        else "The payment for your new plan did not go through."
    )
    lapses = f"after {date_text(subscription.pending_until)} the change lapses"
    text = f"{why} Until then everything stays as it is; {lapses}."
    return Banner("warning", text, page, ("Confirm payment" if asks else "Pay now") if page else None)


def _ending(subscription: Subscription, plan: str) -> Banner | None:
    """Return the banner of a cancelled plan that has not ended."""
    if subscription.cancel_at is None or subscription.ended_at:
        return None
    kind = "plan" if subscription.is_plan else "subscription"
    text = labels.ending(subscription, f"Your {plan} {kind} ends")
    fields = {"subscription": subscription.stripe_id}
    return Banner("warning", text, url_for("plan.resume"), "Resume plan", fields)


def _scheduled(subscription: Subscription, coming: str) -> Banner | None:
    """Return the banner of another plan that begins at the next renewal."""
    if subscription.next_at is None or subscription.cancel_at:
        return None
    price = prices.coming(subscription)
    text = f"Your plan changes to {coming}, {price}, on {date_text(subscription.next_at)}."
    fields = {"subscription": subscription.stripe_id}
    return Banner("info", text, url_for("plan.keep"), "Keep current plan", fields)


def _other_price(subscription: Subscription) -> Banner | None:
    """Return the banner of a price that changes at a renewal, as the customer was told."""
    change = words.of(subscription)
    if change is None:
        return None
    price, when = words.price(subscription, change), words.when(subscription, change)
    return Banner("info", f"Your price changes to {price} {when}.", url_for("plan.choose"), "See other plans")


def _due(subscription: Subscription, invoices: list[Invoice]) -> Invoice | None:
    """Return the subscription's newest open invoice."""
    mine = (one for one in invoices if one.subscription_id == subscription.stripe_id)
    return next((one for one in mine if one.status.is_open), None)
