"""Reporting changes of a subscription in the audit log, by email, and in the log."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import RowMapping

from portal import audit, gateway, mail
from portal.billing.status import labels
from portal.billing.upcoming import prices
from portal.catalogue import items
from portal.extensions import db, once_committed
from portal.models import Customer, SubscriptionPart, SubscriptionStatus
from portal.web.pages import rfc3339

log = structlog.get_logger()

# The fields whose changes are reported. The sync reads their previous values with the subscription's owner.
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
Facts = Mapping[str, Any] | RowMapping


def tell(customer_id: int, facts: gateway.Subscription, before: Facts, after: Facts) -> None:
    """Report what changed, once per change, whichever sync finds it. Flushes."""
    changed = [name for name in WATCHED if before[name] != after[name]]
    if not changed:
        return
    what = _what(before, after)
    was, now = ({name: _plain(side[name]) for name in changed} for side in (before, after))
    # A sync can step back for a moment, and then the same change is found again. A change that is really made
    # twice (to another plan, back, and there again) has another invoice; a cancellation has another time of the
    # request.
    asked = (before["canceled_at"], after["canceled_at"], facts.latest_invoice)
    key = f"subscription:{facts.id}:{_digest(was, now, [str(one) for one in asked])}"
    action = f"subscription.{what}"
    if audit.record(action, customer_id=customer_id, subject=facts.id, before=was, after=now, key=key):
        event = "subscription_activated" if what == "activated" else "subscription_updated"
        once_committed(
            log.info, event, subscription=facts.id, status=facts.status, customer=customer_id, what=what
        )
    if before["status"] is not None:
        _mail(what, customer_id, facts, before, after)


def _what(before: Facts, after: Facts) -> str:
    """Return the change as one word, the most important one if there are several."""
    if after["ended_at"] and not before["ended_at"]:
        return "ended"
    if _is_good(after) and not _is_good(before):
        return "activated"
    if before["status"] is None:
        return "created"
    if after["price_id"] != before["price_id"]:
        # After a notice; the customer was mailed then.
        return "price_changed" if "price_change" in (before["change"] or {}) else "plan_changed"
    if after["cancel_at"] != before["cancel_at"]:
        return "cancelled" if after["cancel_at"] else "resumed"
    if after["next_price_id"] != before["next_price_id"]:
        return "change_scheduled" if after["next_price_id"] else "change_dropped"
    if after["status"] == before["status"] and after["current_period_end"] != before["current_period_end"]:
        return "renewed"
    return "updated"


def _is_good(side: Facts) -> bool:
    """Return whether it is in good standing. An unknown previous state has no status."""
    return side["status"] is not None and SubscriptionStatus(side["status"]).in_good_standing


def _mail(what: str, customer_id: int, facts: gateway.Subscription, before: Facts, after: Facts) -> None:
    """Mail the changes that customers want in writing."""
    if what == "cancelled" or (what == "ended" and SubscriptionStatus(before["status"]).grants_access):
        # No second mail at the end: Stripe keeps the time of the request.
        key = f"cancelled:{facts.id}:{rfc3339(after['canceled_at'])}"
        until = after["cancel_at"] if what == "cancelled" else None
        owing = not _is_good(after)
        _queue(customer_id, "cancelled", key, until, _name(after), owing=owing)
    elif what == "plan_changed" and SubscriptionStatus(after["status"]).grants_access:
        key = f"plan-changed:{facts.id}:{after['price_id']}:{facts.latest_invoice}"
        _queue(customer_id, "plan_changed", key, None, _name(after), price=_price(after["items"]))
    elif what == "change_scheduled":
        key = f"plan-scheduled:{after['schedule_id']}:{after['next_price_id']}:{rfc3339(after['next_at'])}"
        tier, then = after["next_tier"], after["next_items"]
        name = labels.name_of(tier, items.plan_of(tier), then, is_usage=False)
        _queue(customer_id, "plan_changed", key, after["next_at"], name, price=_price(then))


def _name(after: Facts) -> str:
    tier = after["tier"]
    return labels.name_of(tier, items.plan_of(tier), after["items"], is_usage=after["is_usage"])


def _price(written: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the price of each item, the plan's first."""
    return prices.listed([SubscriptionPart.read(dict(one)) for one in written])


def _queue(customer_id: int, template: str, key: str, at: datetime | None, plan_name: str, **facts: Any) -> None:
    customer = db.session.get_one(Customer, customer_id)
    context = {
        "plan_name": plan_name,
        "at": rfc3339(at),
        "page": mail.external("billing.overview"),
    }
    mail.tell(customer, template, key, **context, **facts)


def _plain(value: Any) -> Any:
    return rfc3339(value) if isinstance(value, datetime) else value


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]
