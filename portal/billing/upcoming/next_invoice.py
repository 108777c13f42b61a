"""The next invoice of a subscription, as Stripe's preview has it, in words for the customer."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from portal import clock
from portal.billing.upcoming import prices, terms
from portal.models import Subscription, SubscriptionStatus
from portal.web.pages import money_text

FRESH_FOR = timedelta(minutes=5)
UNKNOWN = "Amount not available right now"


@dataclass(frozen=True)
class Next:
    """The next invoice of a subscription. `amount` is None if Stripe was not asked, or cannot calculate it."""

    at: datetime
    amount: int | None
    currency: str
    notes: list[str]


def is_fresh(asked_at: datetime | None) -> bool:
    """Return whether Stripe said so within the last five minutes."""
    return asked_at is not None and asked_at > clock.now() - FRESH_FOR


def of(subscription: Subscription, asked_at: datetime | None) -> Next | None:
    """Return a subscription's next invoice from Stripe's preview; None if nothing is charged next.

    `asked_at` is when Stripe was last asked about the customer; an event since then empties it.
    """
    is_known = is_fresh(subscription.previewed_at) and is_fresh(asked_at)
    if is_known and subscription.next_due_at:
        at, amount = subscription.next_due_at, subscription.next_due
    elif _renews(subscription, is_known=is_known):
        assert subscription.current_period_end is not None
        at, amount = subscription.current_period_end, None
    else:
        return None
    if terms.rests(subscription, at):
        return None
    currency = subscription.next_lines.get("currency") or subscription.currency
    return Next(at, amount, currency, _notes(subscription, amount, at))


def _renews(subscription: Subscription, *, is_known: bool) -> bool:
    """Return whether there is a next invoice although Stripe has not said its amount."""
    if is_known and subscription.next_lines.get("none"):
        return False
    if subscription.cancel_at is not None or subscription.current_period_end is None:
        return False
    return subscription.status.in_good_standing or subscription.status == SubscriptionStatus.PAST_DUE


def _notes(subscription: Subscription, amount: int | None, at: datetime) -> list[str]:
    """Return what the amount consists of and what is not in it yet."""
    found, said = [], subscription.next_lines
    if amount is None:
        found.append(UNKNOWN)
    found += [_line(one, subscription.currency) for one in said.get("lines", ()) if one["amount"]]
    if said.get("discount"):
        found.append(f"Discount: {money_text(-said['discount'], subscription.currency)}")
    if said.get("tax"):
        found.append(f"Tax: {money_text(said['tax'], subscription.currency)}")
    total = said.get("total", 0)
    if amount is not None and total > amount:
        found.append(f"From your balance: {money_text(amount - total, subscription.currency)}")
    if amount is not None and total < 0:
        found.append(f"Added to your balance: {money_text(-total, subscription.currency)}")
    if any(part.metered for part in subscription.parts) and not subscription.is_usage:
        found.append("Usage until then is added")
    if said.get("lacks_address"):
        found.append("Tax is added once your billing address is known")
    if terms.is_sent(subscription):
        found.append("Sent to you by email, not charged automatically")
    if subscription.next_at == at and subscription.next_items:
        found.append(f"From then on: {prices.coming(subscription)}")
    return found


def _line(line: dict[str, object], currency: str) -> str:
    amount = line["amount"]
    assert isinstance(amount, int)
    return f"{line['description']}: {money_text(amount, currency)}"
