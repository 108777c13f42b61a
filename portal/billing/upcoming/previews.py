"""Stripe's preview of a subscription's next invoice, as our copy stores it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog

from portal import clock, gateway
from portal.errors import StripeRefused
from portal.extensions import db
from portal.models import PriceChange, Subscription, SubscriptionStatus

log = structlog.get_logger()

LINES = 20  # stored of an invoice
INVOICED = (*SubscriptionStatus.good(), SubscriptionStatus.PAST_DUE)  # Stripe creates invoices that it collects


@dataclass(frozen=True)
class Previewed:
    """Stripe's answer. `preview` is None if there is no next invoice, or if Stripe cannot calculate it."""

    preview: gateway.Preview | None
    is_none: bool = False


Ask = Callable[[gateway.Lane, gateway.Subscription], Previewed | None]


def ask(lane: gateway.Lane, facts: gateway.Subscription, change: PriceChange | None = None) -> Previewed:
    """Ask Stripe for the next invoice, through the schedule where one runs. Raises StripeUnavailable.

    With a `change` of price that this renewal brings, it is previewed at the new price.
    """
    if facts.status not in INVOICED:
        return Previewed(None, is_none=True)
    named: gateway.Params = {"schedule": facts.schedule} if facts.schedule else {"subscription": facts.id}
    if change and not facts.schedule and not facts.ends_at:
        named |= _at_new_price(facts, change)
    try:
        return Previewed(lane.preview(named))
    except StripeRefused as refused:
        if refused.stripe_code == gateway.NONE_UPCOMING:
            return Previewed(None, is_none=True)
        log.warning("next_invoice_unknown", subscription=facts.id, code=refused.stripe_code)
        return Previewed(None)


def _at_new_price(facts: gateway.Subscription, change: PriceChange) -> gateway.Params:
    """Return the parameters that change the price in the preview; none if it changes later, or has changed."""
    changed = [
        {"id": item.id, "price": change.to_price, "quantity": item.quantity}
        for item in facts.items
        if item.price.id == change.from_price and item.period_end and item.period_end >= change.notice_until
    ]
    details = {"items": changed, "proration_behavior": "none"}
    return {"subscription_details": details} if changed else {}


def amount(subscription: Subscription) -> int | None:
    """Return what the next invoice charges; None if Stripe cannot calculate it. Raises StripeUnavailable."""
    lane, change = gateway.of(subscription.mode), subscription.price_change
    db.session.commit()
    try:
        facts = lane.subscription(subscription.stripe_id)
    except StripeRefused as refused:
        log.warning("next_invoice_unknown", subscription=subscription.stripe_id, code=refused.stripe_code)
        return None
    preview = ask(lane, facts, change).preview
    return preview.amount_due if preview else None


def columns(previewed: Previewed | None) -> dict[str, Any]:
    """Return the columns of our copy. A sync without a preview empties them."""
    preview = previewed.preview if previewed else None
    return {
        "next_due": preview.amount_due if preview else None,
        "next_due_at": preview.at if preview else None,
        "next_lines": _facts(preview) if preview else {"none": True} if previewed and previewed.is_none else {},
        "previewed_at": clock.now() if previewed else None,
    }


def _facts(preview: gateway.Preview) -> dict[str, Any]:
    given = {
        "lines": lines(preview.lines),
        "total": preview.total,
        "tax": preview.tax,
        "discount": preview.discount,
        "lacks_address": preview.lacks_address,
        "currency": preview.currency,
    }
    return {name: value for name, value in given.items() if value}


def lines(found: tuple[gateway.Line, ...]) -> list[dict[str, Any]]:
    """Return the lines of an invoice as they are stored."""
    return [{"description": one.description, "amount": one.amount} for one in found[:LINES]]


def has_none(subscription: Subscription) -> bool:
    """Return whether Stripe said that there is no next invoice."""
    return bool(subscription.next_lines.get("none"))
