"""The steps of a change at Stripe, each claimed and compared with its target, and how to undo them.

Before the first step, the parameters of all steps are stored: `release` is the schedule to remove, `update` the
subscription's new fields, `planned` the new schedule, `before` the previous schedule, `end` an immediate
cancellation, `undo` what reverts an unpaid update.
"""

from typing import Any

import structlog

from portal import gateway
from portal.errors import StripeRefused
from portal.extensions import db
from portal.models import InvoiceStatus, Subscription, SubscriptionChange, SubscriptionStatus
from portal.sync import idempotency

log = structlog.get_logger()

Planned = dict[str, Any]


def planned(facts: gateway.Subscription, subscription: Subscription) -> Planned | None:
    """Return the target of a schedule, enough to create it again; None if nothing is scheduled."""
    if facts.schedule is None or subscription.next_price_id is None:
        return None
    cycle = (subscription.next_interval, subscription.next_interval_count)
    return plan(facts, subscription.price_id, subscription.next_price_id, cycle)


def plan(facts: gateway.Subscription, old: str, new: str, cycle: tuple[str | None, int | None]) -> Planned:
    """Return a schedule's next phase: another price, with the subscription's other terms.

    Its own discounts are named by their ids, because a coupon would restart a repeating one. If it has none, the
    field is omitted, so that the customer's discounts still apply.
    """
    made: Planned = {"from": old, "to": new, "interval": cycle[0], "interval_count": cycle[1]}
    kept: Planned = {}
    if facts.discounts:
        kept["discounts"] = [{"discount": one.id} for one in facts.discounts]
    if facts.default_tax_rates:
        kept["default_tax_rates"] = list(facts.default_tax_rates)
    return made | ({"kept": kept} if kept else {})


def forward(change: SubscriptionChange) -> gateway.Subscription | None:
    """Make all steps of the change, in order, and return the subscription if it was updated. Commits.

    Raises StripeRefused, StripeUnavailable.
    """
    release(change)
    if change.params.get("end"):
        return _end(change)
    if change.params.get("planned") and change.kind == "schedule":
        schedule(change, change.params["planned"])
    return update(change) if "update" in change.params else None


def back(change: SubscriptionChange) -> None:
    """Restore the previous schedule, or remove an incomplete new one. Commits.

    Raises StripeRefused, StripeUnavailable.
    """
    lane, before = gateway.of(change.mode), before_of(change)
    facts = lane.subscription(change.subscription_id)
    known = lane.schedule(facts.schedule) if facts.schedule else None
    if before is not None and not (known and brings(known, before["to"])):
        schedule(change, before, "again-")
    elif before is None and known is not None and change.kind == "schedule":
        _release(change, known.id, "back-release")


def before_of(change: SubscriptionChange) -> Planned | None:
    """Return what was scheduled before the change. Changes from an earlier release store it under another name."""
    earlier = change.params.get("planned") if change.kind == "change" else None
    return change.params.get("before") or earlier


def release(change: SubscriptionChange) -> None:
    """Release the schedule that the change removes, if any: it would overrule what follows."""
    if change.params.get("release"):
        _release(change, change.params["release"], "release")


def _release(change: SubscriptionChange, schedule_id: str, step: str) -> None:
    lane = gateway.of(change.mode)

    def released(_named: str) -> gateway.Schedule | None:
        found = lane.schedule(schedule_id)
        return found if found.status == "released" else None

    idempotency.call(change, lambda key: lane.release_schedule(schedule_id, key), step, find=released)


def update(change: SubscriptionChange) -> gateway.Subscription:
    """Update the subscription at Stripe."""
    return _update(change, change.params["update"], "")


def _update(change: SubscriptionChange, params: dict[str, Any], step: str) -> gateway.Subscription:
    lane, stripe_id = gateway.of(change.mode), change.subscription_id

    def updated(_named: str) -> gateway.Subscription | None:
        found = lane.subscription(stripe_id)
        return found if is_so(found, params) else None

    return idempotency.call(
        change, lambda key: lane.update_subscription(stripe_id, params, key), step, find=updated
    )


def is_so(facts: gateway.Subscription, params: dict[str, Any]) -> bool:
    """Return whether a subscription has, or waits to have, what these parameters set."""
    if "items" in params:
        prices = {item.price.id for item in facts.items} | set(facts.pending_prices)
        return {item["price"] for item in params["items"]} <= prices
    return (facts.ends_at is not None) == bool(params.get("cancel_at_period_end"))


def _end(change: SubscriptionChange) -> gateway.Subscription:
    """Cancel the subscription immediately."""
    lane, stripe_id = gateway.of(change.mode), change.subscription_id

    def ended(_named: str) -> gateway.Subscription | None:
        found = lane.subscription(stripe_id)
        return found if SubscriptionStatus(found.status).is_final else None

    return idempotency.call(change, lambda key: lane.cancel_subscription(stripe_id, key), find=ended)


def schedule(change: SubscriptionChange, wanted: Planned, step: str = "") -> None:
    """Schedule the current phase to its end, then the other price, and then release the schedule."""
    lane, stripe_id = gateway.of(change.mode), change.subscription_id

    def created(_named: str) -> gateway.Schedule | None:
        found = lane.subscription(stripe_id).schedule
        return lane.schedule(found) if found else None

    made = idempotency.call(
        change, lambda key: lane.create_schedule(stripe_id, key), f"{step}create", find=created
    )

    def phased(_named: str) -> gateway.Schedule | None:
        found = lane.schedule(made.id)
        return found if brings(found, wanted["to"]) else None

    params = {"phases": _phases(made, wanted), "end_behavior": "release"}
    idempotency.call(change, lambda key: lane.update_schedule(made.id, params, key), f"{step}phases", find=phased)


def _phases(made: gateway.Schedule, wanted: Planned) -> list[dict[str, Any]]:
    now, kept = made.phases[0], wanted.get("kept", {})
    items = [item | {"price": wanted["to"]} if item["price"] == wanted["from"] else item for item in now.items]
    cycle = {name: wanted[name] for name in ("interval", "interval_count")}
    dates = {"start_date": int(now.starts.timestamp()), "end_date": int(now.ends.timestamp())}
    return [
        {"items": list(now.items), **dates, **kept},
        {"items": items, "proration_behavior": "none", "duration": cycle, **kept},
    ]


def is_made(change: SubscriptionChange) -> bool:
    """Return whether Stripe has made the change, even if the response was lost."""
    lane = gateway.of(change.mode)
    facts = lane.subscription(change.subscription_id)
    if change.params.get("end"):
        return SubscriptionStatus(facts.status).is_final
    if "update" in change.params:
        return is_so(facts, change.params["update"])
    known = lane.schedule(facts.schedule) if facts.schedule else None
    if change.kind == "unschedule":
        return known is None
    return known is not None and brings(known, change.params["planned"]["to"])


def brings(known: gateway.Schedule, price: str) -> bool:
    """Return whether a schedule changes its subscription to this price next."""
    return known.coming is not None and any(item["price"] == price for item in known.coming.items)


def undo(change: SubscriptionChange, invoice_id: str) -> None:
    """Undo an unpaid change: the previous plan, no invoice, and the previous schedule. Commits."""
    if undone := change.params.get("undo"):
        _update(change, undone, "undo")
    void(change, invoice_id)
    back(change)


def void(change: SubscriptionChange, invoice_id: str) -> None:
    """Void the invoice of a change that is not made."""
    lane = gateway.of(change.mode)

    def closed(_named: str) -> gateway.Invoice | None:
        found = lane.invoice(invoice_id)
        return found if InvoiceStatus(found.status).is_given_up else None

    idempotency.call(change, lambda key: lane.void_invoice(invoice_id, key), "void", find=closed)


def note(change: SubscriptionChange, **facts: Any) -> None:
    """Store what the next steps need, before they are made. Commits."""
    change.params = change.params | facts
    db.session.commit()


def put_back(change: SubscriptionChange) -> bool:
    """Undo after a refusal; return False if Stripe refuses that too, and an admin has to look. Commits.

    Raises StripeUnavailable, after which `changes.run` continues.
    """
    note(change, back=True)
    try:
        back(change)
    except StripeRefused as refused:
        log.error("change_not_put_back", subscription=change.subscription_id, code=refused.stripe_code)
        return False
    return True
