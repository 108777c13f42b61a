"""Saying what became of a subscription: in the audit log, by mail, and in the log."""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import RowMapping

from portal import audit, gateway, mail
from portal.billing import words
from portal.extensions import db
from portal.models import Customer
from portal.pages import rfc3339
from portal.purchases import items

log = structlog.get_logger()

# What is told when it changes; the sync reads what it was before along with whose the subscription is.
WATCHED = (
    "status",
    "tier",
    "price_id",
    "quantity",
    "current_period_end",
    "cancel_at",
    "canceled_at",
    "ended_at",
    "next_price_id",
    "next_at",
)
GRANTING = ("active", "trialing")
RUNNING = (*GRANTING, "past_due")
Facts = Mapping[str, Any] | RowMapping


def tell(customer_id: int, facts: gateway.Subscription, before: Facts, after: Facts) -> None:
    """Report what is different now, once for each change whoever brings it. Flushes."""
    what = _what(before, after)
    event = "subscription_activated" if what == "activated" else "subscription_updated"
    log.info(event, subscription=facts.id, status=facts.status, customer=customer_id, what=what)
    changed = [name for name in WATCHED if before[name] != after[name]]
    if not changed:
        return
    was, now = ({name: _plain(side[name]) for name in changed} for side in (before, after))
    # A sync may step back for a moment, and the same change then comes again. A change that is made twice (to
    # another plan, back, and there again) has another invoice; a cancellation, another time of being asked for.
    asked = (before["canceled_at"], after["canceled_at"], facts.latest_invoice)
    key = f"subscription:{facts.id}:{_digest(was, now, [str(one) for one in asked])}"
    audit.record(f"subscription.{what}", customer_id=customer_id, subject=facts.id, before=was, after=now, key=key)
    if before["status"] is not None:
        _mail(what, customer_id, facts, before, after)


def _what(before: Facts, after: Facts) -> str:
    """The change in a word, the weightiest where several came together."""
    if after["ended_at"] and not before["ended_at"]:
        return "ended"
    if after["status"] in GRANTING and before["status"] not in GRANTING:
        return "activated"
    if before["status"] is None:
        return "created"
    if after["price_id"] != before["price_id"]:
        return "plan_changed"
    if after["cancel_at"] != before["cancel_at"]:
        return "cancelled" if after["cancel_at"] else "resumed"
    if after["next_price_id"] != before["next_price_id"]:
        return "change_scheduled" if after["next_price_id"] else "change_dropped"
    if after["status"] == before["status"] and after["current_period_end"] != before["current_period_end"]:
        return "renewed"
    return "updated"


def _mail(what: str, customer_id: int, facts: gateway.Subscription, before: Facts, after: Facts) -> None:
    """A mail for what people would want to have in writing."""
    if what == "cancelled" or (what == "ended" and before["status"] in RUNNING):
        # At the end there is no second mail: Stripe keeps when it was asked for.
        key = f"cancelled:{facts.id}:{rfc3339(after['canceled_at'])}"
        until = after["cancel_at"] if what == "cancelled" else None
        owing = after["status"] not in GRANTING
        _queue(customer_id, "cancelled", key, until, tier=after["tier"], owing=owing)
    elif what == "plan_changed" and after["status"] in RUNNING:
        key = f"plan-changed:{facts.id}:{after['price_id']}:{facts.latest_invoice}"
        _queue(customer_id, "plan_changed", key, None, **_price(after))
    elif what == "change_scheduled":
        key = f"plan-scheduled:{after['schedule_id']}:{after['next_price_id']}:{rfc3339(after['next_at'])}"
        _queue(customer_id, "plan_changed", key, after["next_at"], **_next_price(after))


def _price(after: Facts) -> Facts:
    return {name: after[name] for name in ("tier", "amount", "currency", "interval", "interval_count")}


def _next_price(after: Facts) -> Facts:
    coming = {name: after[f"next_{name}"] for name in ("tier", "amount", "interval", "interval_count")}
    return coming | {"currency": after["currency"]}


def _queue(
    customer_id: int, template: str, key: str, at: datetime | None, *, tier: str | None, **facts: Any
) -> None:
    customer = db.session.get_one(Customer, customer_id)
    context = {
        "plan_name": words.plan_name(tier, items.plan_of(tier)),
        "at": rfc3339(at),
        "page": mail.external("billing.overview"),
    }
    mail.tell(customer, template, key, **context, **facts)


def _plain(value: Any) -> Any:
    return rfc3339(value) if isinstance(value, datetime) else value


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]
