"""Subscription schedules: phases that follow each other, such as a cheaper plan from the next renewal on."""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api.errors import StripeError
from portal.sandbox.domain.pricing import discounts, periods

Json = dict[str, Any]
KIND = "subscription_schedule"
PHASE: Json = {
    "add_invoice_items": [],
    "application_fee_percent": None,
    "billing_cycle_anchor": None,
    "billing_thresholds": None,
    "collection_method": None,
    "default_payment_method": None,
    "default_tax_rates": [],
    "description": None,
    "discounts": [],
    "invoice_settings": None,
    "metadata": {},
    "on_behalf_of": None,
    "proration_behavior": "create_prorations",
    "transfer_data": None,
    "trial_end": None,
}


def take_over(account: Account, subscription: Json, metadata: Json) -> Json:
    """A schedule for a running subscription, its present period being the first phase. Raises StripeError."""
    if subscription["schedule"]:
        words = "You cannot migrate a subscription that is already attached to a schedule: "
        raise StripeError(words + f"`{subscription['schedule']}`.", param="from_subscription")
    kept = subscription["items"]["data"]
    dates = {
        "start_date": min(item["current_period_start"] for item in kept),
        "end_date": max(item["current_period_end"] for item in kept),
    }
    items = [phase_item(item["price"], item.get("quantity")) for item in kept]
    own = [{"coupon": None, "discount": id_, "promotion_code": None} for id_ in subscription["discounts"]]
    phase = PHASE | dates | {"currency": subscription["currency"], "items": items, "discounts": own}
    settings = {"billing_cycle_anchor": "automatic", "collection_method": "charge_automatically"}
    settings |= {"invoice_settings": subscription["invoice_settings"] | {"days_until_due": None}}
    fields = {
        "billing_mode": subscription["billing_mode"],
        "current_phase": dates,
        "customer": subscription["customer"],
        "end_behavior": "release",
        "metadata": metadata,
        "phases": [phase],
        "status": "active",
        "subscription": subscription["id"],
    }
    fields["default_settings"] = account.build(KIND, {})["default_settings"] | settings
    schedule = account.add(KIND, fields, f"{KIND}.created")
    account.change(subscription, {"schedule": schedule["id"]}, "customer.subscription.updated")
    account.at(dates["end_date"], "phase", schedule["id"])
    return schedule


def phase_item(price: Json, quantity: int | None, metadata: Json | None = None) -> Json:
    """What a phase says about one price."""
    shown: Json = {"billing_thresholds": None, "discounts": [], "metadata": metadata or {}, "tax_rates": []}
    named = {"plan": price["id"], "price": price["id"]}
    if price["recurring"]["usage_type"] == "metered":
        return shown | named
    return shown | named | {"quantity": 1 if quantity is None else quantity}


def write(account: Account, schedule: Json, changes: Json) -> Json:
    """Change a schedule that runs; its current phase is the one that holds now. Raises StripeError."""
    require_running(schedule)
    phases = (schedule | changes)["phases"]
    now = account.now()
    current = next((p for p in phases if p["start_date"] <= now < p["end_date"]), None)
    if current is None:
        raise StripeError("The schedule must have a phase that holds now.", param="phases")
    account.change(schedule, changes | {"current_phase": dates_of(current)}, f"{KIND}.updated")
    account.at(current["end_date"], "phase", schedule["id"])
    return schedule


def require_running(schedule: Json) -> None:
    """Raises StripeError for a schedule that is over."""
    if schedule["status"] not in ("active", "not_started"):
        words = f"You cannot change a subscription schedule that is in the `{schedule['status']}` status. "
        words += "It must be in `not_started` or `active`."
        raise StripeError(words)


def dates_of(phase: Json) -> Json:
    """When a phase begins and ends."""
    return {"start_date": phase["start_date"], "end_date": phase["end_date"]}


def current(schedule: Json) -> Json:
    """The phase that holds now."""
    return next(phase for phase in schedule["phases"] if dates_of(phase) == schedule["current_phase"])


def is_over(account: Account, schedule: Json | None) -> bool:
    """Whether a schedule's current phase has ended, so that the next one is to begin."""
    running = bool(schedule) and schedule["status"] == "active"  # type: ignore[index]
    return running and schedule["current_phase"]["end_date"] <= account.now()  # type: ignore[index]


def following(account: Account, schedule: Json) -> Json | None:
    """The phase that holds once the current one has ended; None after the last."""
    return next((phase for phase in schedule["phases"] if phase["end_date"] > account.now()), None)


def wanted(account: Account, subscription: Json, phase: Json) -> list[Json]:
    """A phase's items as changes to those that the subscription has: the first replaces the first, and so on."""
    kept = subscription["items"]["data"]
    changes: list[Json] = []
    for place, item in enumerate(phase["items"]):
        change = {"price": account.find("price", item["price"]), "quantity": item.get("quantity")}
        changes.append(change | ({"id": kept[place]["id"]} if place < len(kept) else {}))
    return changes + [{"id": item["id"], "deleted": True} for item in kept[len(phase["items"]) :]]


def own_discounts(account: Account, subscription: Json, phase: Json) -> list[str]:
    """The ids of a phase's discounts: one that runs goes on, a coupon begins a new one. Raises StripeError."""
    owner = {"customer": subscription["customer"], "subscription": subscription["id"]}
    return discounts.redeem(account, phase["discounts"], owner, subscription["currency"])


def terms(subscription: Json, phase: Json) -> Json:
    """What else a subscription takes over from a phase that begins; metadata is added to its own."""
    changes: Json = {"metadata": subscription["metadata"] | phase["metadata"]}
    return changes | ({"description": phase["description"]} if phase["description"] else {})


def default_end(account: Account, start: int, items: list[Json]) -> int:
    """The end of a phase of one billing period."""
    return periods.boundary(start, account.find("price", items[0]["price"])["recurring"], 1)


def release(account: Account, schedule: Json) -> Json:
    """Let the subscription go on by itself, as it is now. Raises StripeError when the schedule is over."""
    require_running(schedule)
    leave(account, schedule, {"status": "released", "released_at": account.now()})
    account.emit(f"{KIND}.released", schedule)
    return schedule


def complete(account: Account, schedule: Json) -> None:
    """The last phase has ended."""
    leave(account, schedule, {"status": "completed", "completed_at": account.now()})
    account.emit(f"{KIND}.completed", schedule)


def leave(account: Account, schedule: Json, changes: Json) -> None:
    """Part a schedule from its subscription."""
    subscription = account.find("subscription", schedule["subscription"])
    parted = {"current_phase": None, "released_subscription": subscription["id"], "subscription": None}
    account.change(schedule, changes | parted)
    account.change(subscription, {"schedule": None}, "customer.subscription.updated")


def cancelled(account: Account, subscription: Json) -> None:
    """A schedule ends with its subscription."""
    schedule = account.get(subscription["schedule"])
    if schedule and schedule["status"] == "active":
        over = {"status": "canceled", "canceled_at": account.now(), "current_phase": None}
        account.change(schedule, over)
        account.emit(f"{KIND}.canceled", schedule)
