"""The life of a schedule: created alone or for an existing subscription, released, completed or cancelled."""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api.errors import StripeError
from portal.sandbox.domain.subscriptions.schedules import phases

Json = dict[str, Any]
KIND = "subscription_schedule"
EXPIRES = 7 * 86400  # seconds before its end that a schedule is announced to expire


def take_over(account: Account, subscription: Json, metadata: Json) -> Json:
    """Create a schedule for an active subscription, with its current period as the first phase. Raises
    StripeError.
    """
    if subscription["schedule"]:
        words = "You cannot migrate a subscription that is already attached to a schedule: "
        raise StripeError(words + f"`{subscription['schedule']}`.", param="from_subscription")
    kept = subscription["items"]["data"]
    dates = {
        "start_date": min(item["current_period_start"] for item in kept),
        "end_date": max(item["current_period_end"] for item in kept),
    }
    items = [phases.item(item["price"], item | {"discounts": named(item), "metadata": {}}) for item in kept]
    phase = phases.PHASE | dates | {"currency": subscription["currency"], "items": items}
    phase |= {"discounts": named(subscription), "_": {"bare": bool(subscription["_"].get("bare"))}}
    phase |= {"default_tax_rates": subscription["default_tax_rates"]}
    fields = {
        "billing_mode": subscription["billing_mode"],
        "current_phase": dates,
        "customer": subscription["customer"],
        "default_settings": settings(account, own_settings(subscription)),
        "end_behavior": "release",
        "metadata": metadata,
        "phases": [phase],
        "status": "active",
        "subscription": subscription["id"],
    }
    schedule = account.add(KIND, fields, f"{KIND}.created")
    account.change(subscription, {"schedule": schedule["id"]}, "customer.subscription.updated")
    watch(account, schedule, phase)
    return schedule


def named(owner: Json) -> list[Json]:
    """Return the discounts of a subscription or of its item as a phase shows them."""
    return [{"coupon": None, "discount": id_, "promotion_code": None} for id_ in owner["discounts"]]


def own_settings(subscription: Json) -> Json:
    """Return a subscription's settings as default_settings of its schedule."""
    invoices = subscription["invoice_settings"] | {"days_until_due": subscription["days_until_due"]}
    names = ("collection_method", "default_payment_method", "description")
    return {name: subscription[name] for name in names} | {"invoice_settings": invoices}


def settings(account: Account, asked: Json) -> Json:
    """Return default_settings in the response's format."""
    blank: Json = account.build(KIND, {})["default_settings"]
    invoices = blank["invoice_settings"] | {"issuer": {"type": "self"}} | (asked.get("invoice_settings") or {})
    made = {"billing_cycle_anchor": "automatic", "collection_method": "charge_automatically"} | asked
    return blank | made | {"invoice_settings": invoices}


def create(account: Account, customer: Json, fields: Json) -> Json:
    """Create a schedule that makes its subscription when its first phase begins. Raises StripeError."""
    defaults = {
        "billing_mode": {"type": "flexible", "flexible": {"proration_discounts": "included"}},
        "customer": customer["id"],
        "end_behavior": "release",
        "metadata": {},
        "status": "not_started",
    }
    schedule = account.add(KIND, defaults | fields, f"{KIND}.created")
    account.at(schedule["phases"][0]["start_date"], "phase", schedule["id"])
    return schedule


def write(account: Account, schedule: Json, changes: Json) -> Json:
    """Change a schedule that has not ended; the current phase of a started one is the one that applies now.
    Raises StripeError.
    """
    require_running(schedule)
    after = schedule | changes
    if schedule["status"] == "not_started":
        account.change(schedule, changes, f"{KIND}.updated")
        account.at(after["phases"][0]["start_date"], "phase", schedule["id"])
        return schedule
    phase = phases.require_current(after["phases"], account.now())
    account.change(schedule, changes | {"current_phase": phases.dates_of(phase)}, f"{KIND}.updated")
    watch(account, schedule, phase)
    return schedule


def watch(account: Account, schedule: Json, phase: Json) -> None:
    """Schedule the end of a phase, and the announcement of the schedule's own end."""
    account.at(phase["end_date"], "phase", schedule["id"])
    if phases.is_last(schedule, phase):
        account.at(max(phase["end_date"] - EXPIRES, account.now()), "expiring", schedule["id"])


def announce(account: Account, schedule: Json) -> None:
    """Create the event seven days before a schedule ends, unless it was changed since."""
    if schedule["status"] == "active" and schedule["phases"][-1]["end_date"] <= account.now() + EXPIRES:
        account.emit(f"{KIND}.expiring", schedule)


def require_running(schedule: Json) -> None:
    """Raise StripeError for a schedule that has ended."""
    if schedule["status"] not in ("active", "not_started"):
        words = f"You cannot change a subscription schedule that is in the `{schedule['status']}` status. "
        words += "It must be in `not_started` or `active`."
        raise StripeError(words)


def is_over(account: Account, schedule: Json | None) -> bool:
    """Return whether a schedule's current phase has ended, so that the next one begins."""
    running = bool(schedule) and schedule["status"] == "active"  # type: ignore[index]
    return running and schedule["current_phase"]["end_date"] <= account.now()  # type: ignore[index]


def release(account: Account, schedule: Json, keep_end: bool = False) -> Json:
    """Release the subscription, which continues as it is now, or with keep_end ends as it was to. Raises
    StripeError if the schedule has ended.
    """
    require_running(schedule)
    leave(account, schedule, {"status": "released", "released_at": account.now()}, keep_end)
    account.emit(f"{KIND}.released", schedule)
    return schedule


def complete(account: Account, schedule: Json) -> None:
    """Complete the schedule after its last phase."""
    leave(account, schedule, {"status": "completed", "completed_at": account.now()})
    account.emit(f"{KIND}.completed", schedule)


def leave(account: Account, schedule: Json, changes: Json, keep_end: bool = False) -> None:
    """Detach a schedule from its subscription, if it has one already."""
    parted = {"current_phase": None, "released_subscription": schedule["subscription"], "subscription": None}
    subscription = account.get(schedule["subscription"])
    account.change(schedule, changes | parted)
    if subscription:
        ends = {} if keep_end else {"cancel_at": None}
        account.change(subscription, {"schedule": None} | ends, "customer.subscription.updated")


def cancel(account: Account, schedule: Json) -> Json:
    """Cancel a schedule, alone or with its subscription."""
    over = {"status": "canceled", "canceled_at": account.now(), "current_phase": None}
    account.change(schedule, over)
    account.emit(f"{KIND}.canceled", schedule)
    return schedule


def cancelled(account: Account, subscription: Json) -> None:
    """End a schedule with its subscription."""
    schedule = account.get(subscription["schedule"])
    if schedule and schedule["status"] == "active":
        cancel(account, schedule)
