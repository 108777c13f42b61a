"""From one phase to the next: with a renewal, or by changing the current period."""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.domain.subscriptions import cancellation, creation, subscription_items, updates
from portal.sandbox.domain.subscriptions.schedules import lifecycle, phases

Json = dict[str, Any]


def start(account: Account, schedule: Json) -> Json:
    """Create the subscription of a schedule, whose first phase begins. Raises StripeError."""
    phase = phases.require_current(schedule["phases"], account.now())
    fields = phases.terms(schedule, phase) | {"currency": phase["currency"], "metadata": phase["metadata"]}
    fields |= {"schedule": schedule["id"], "discounts": phase["discounts"], "_": phase["_"] | {"drafts": True}}
    extras = [extra | {"price": account.find("price", extra["price"])} for extra in phase["add_invoice_items"]]
    fields |= {"add_invoice_items": extras, "phase": phase}
    if phase["trial_end"]:
        fields["trial_end"] = phase["trial_end"]
    customer = account.find("customer", schedule["customer"])
    made = creation.start(account, customer, phases.wanted(account, [], phase), fields)
    running = {"status": "active", "subscription": made["id"], "current_phase": phases.dates_of(phase)}
    account.change(schedule, running, f"{lifecycle.KIND}.updated")
    lifecycle.watch(account, schedule, phase)
    mark_end(account, schedule)
    return schedule


def mark_end(account: Account, schedule: Json) -> None:
    """Show on a subscription that it ends with its schedule's last phase, or no longer does."""
    phase, subscription = phases.current(schedule), account.find("subscription", schedule["subscription"])
    ends = schedule["end_behavior"] == "cancel" and phases.is_last(schedule, phase)
    changes = {"cancel_at": phase["end_date"] if ends else None}
    account.change(subscription, changes, "customer.subscription.updated")


def at_renewal(account: Account, subscription: Json) -> Json:
    """Return what a schedule changes with this renewal: the phase that begins, items under data, and a new anchor
    for another interval.
    """
    schedule = account.get(subscription["schedule"])
    if schedule is None or not lifecycle.is_over(account, schedule):
        return {}
    phase = phases.at(schedule["phases"], account.now())
    if phase is None:
        finish(account, schedule, subscription)
        return {}
    lifecycle.write(account, schedule, {})
    mark_end(account, schedule)
    subscription = account.find("subscription", subscription["id"])
    account.change(subscription, phases.own_discounts(account, subscription, phase))
    before = subscription["items"]["data"]
    after = updates.items_after(account, subscription, phases.wanted(account, before, phase))
    changes = phases.terms(schedule, phase) | merged(subscription, phase) | trial(account, phase)
    changes["phase"] = phase
    if not phases.anchors(schedule, phase) and not updates.restarts(before, after, subscription["currency"]):
        return changes | {"data": after}
    began = [updates.beginning(account, item) for item in after]
    return changes | {"data": began} | subscription_items.anchored(account)


def merged(subscription: Json, phase: Json) -> Json:
    """Return a subscription's metadata with that of a phase."""
    return {"metadata": subscription["metadata"] | phase["metadata"]}


def trial(account: Account, phase: Json) -> Json:
    """Return a subscription's fields for a phase that begins as a trial."""
    ends = phase["trial_end"]
    if not ends or ends <= account.now():
        return {}
    dates = {"trial_start": account.now(), "trial_end": ends, "billing_cycle_anchor": ends}
    return {"status": "trialing", "billing_cycle_anchor_config": None} | dates


def move_on(account: Account, schedule: Json) -> None:
    """Begin the phase after one that ended within a billing period, or end the schedule."""
    subscription = account.find("subscription", schedule["subscription"])
    phase = phases.at(schedule["phases"], account.now())
    if phase is None:
        finish(account, schedule, subscription)
        return
    lifecycle.write(account, schedule, {})
    enter(account, schedule, phase)


def enter(account: Account, schedule: Json, phase: Json) -> None:
    """Apply a phase to a subscription in the middle of a period, prorated as the phase says."""
    mark_end(account, schedule)
    subscription = account.find("subscription", schedule["subscription"])
    items = phases.wanted(account, subscription["items"]["data"], phase)
    terms = phases.terms(schedule, phase) | merged(subscription, phase)
    terms |= phases.own_discounts(account, subscription, phase)
    phases.add_once(account, subscription, phase)
    params: Json = {"proration_behavior": phase["proration_behavior"]}
    if phase["trial_end"] and phase["trial_end"] > account.now():
        params["trial_end"] = phase["trial_end"]
    elif phases.anchors(schedule, phase) and phase["start_date"] == account.now():
        params["billing_cycle_anchor"] = "now"
    updates.change(account, subscription, items, terms, params)


def finish(account: Account, schedule: Json, subscription: Json) -> None:
    """End the last phase: the subscription continues, or ends too."""
    lifecycle.complete(account, schedule)
    if schedule["end_behavior"] == "cancel":
        cancellation.end(account, account.find("subscription", subscription["id"]))
