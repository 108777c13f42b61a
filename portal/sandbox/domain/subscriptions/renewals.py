"""The end of a billing period: cancelled subscriptions end, scheduled changes begin, the rest is billed again."""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.domain.invoices import drafts, finalization
from portal.sandbox.domain.pricing import periods
from portal.sandbox.domain.subscriptions import (
    billing,
    cancellation,
    collection,
    pauses,
    subscription_items,
    trials,
    updates,
)
from portal.sandbox.domain.subscriptions.schedules import lifecycle, phases, transitions

Json = dict[str, Any]
STANDING = ("canceled", "incomplete", "incomplete_expired", "paused")


def renew(account: Account, subscription: Json) -> Json:
    """End a subscription, pause it, or begin and bill its next period."""
    if subscription["status"] in STANDING:
        return subscription
    if cancellation.is_due(account, subscription):
        return ended(account, subscription)
    if subscription["status"] == "trialing":
        outcome = trials.outcome(account, subscription)
        if outcome == "cancel":
            return cancellation.end(account, subscription, "payment_failed")
        if outcome == "pause":
            return pauses.pause(account, subscription, "trial_end_without_payment_method")
    return begin_period(account, subscription)


def ended(account: Account, subscription: Json) -> Json:
    """End a subscription whose date has come; a schedule that ends with it is complete."""
    schedule = account.get(subscription["schedule"])
    if schedule is None or not lifecycle.is_over(account, schedule):
        return cancellation.end(account, subscription)
    transitions.finish(account, schedule, subscription)
    return account.find("subscription", subscription["id"])


def begin_period(account: Account, subscription: Json) -> Json:
    """Move the items that are due to their next period, and draft the invoice for it."""
    changes = transitions.at_renewal(account, subscription)
    phase = changes.pop("phase", None)
    subscription = account.find("subscription", subscription["id"])
    if subscription["status"] in STANDING:
        return subscription
    merged = subscription | changes
    anchor = periods.counted_from(merged["billing_cycle_anchor"], merged["billing_cycle_anchor_config"])
    items = changes.pop("data", subscription["items"]["data"])
    after = [roll(account, item, anchor, subscription["status"] == "trialing") for item in items]
    if changes.get("trial_end"):
        after = [item | {"current_period_end": changes["trial_end"]} for item in after]
    due = begun(subscription["items"]["data"], after)
    if not due:  # a change since this date was set has moved every period
        return account.change(subscription, changes | {"items": subscription["items"] | {"data": after}})
    changes |= {"items": subscription["items"] | {"data": after}, "latest_invoice": account.new_id("invoice")}
    if subscription["status"] == "trialing":
        changes.setdefault("status", "active")
    account.change(subscription, changes, "customer.subscription.updated")
    trials.announce(account, subscription)
    if phase:
        phases.add_once(account, subscription, phase)
    invoice = billing.bill(account, subscription, "subscription_cycle", due)
    if not collection.hold(account, subscription, invoice):
        account.at(account.now() + drafts.DRAFT_FOR, "collect", invoice["id"])
    account.at(subscription_items.next_end(subscription), "renew", subscription["id"])
    return account.find("subscription", subscription["id"])


def begun(before: list[Json], after: list[Json]) -> list[Json]:
    """Return the items with a new period; with mixed intervals, each is billed when its own period begins.

    https://docs.stripe.com/billing/subscriptions/mixed-interval
    """
    starts = {item["id"]: item["current_period_start"] for item in before}
    return [item for item in after if item["current_period_start"] != starts.get(item["id"])]


def roll(account: Account, item: Json, anchor: int, free: bool = False) -> Json:
    """Return an item in its current period; free: what it used in the last one is not billed, as in a trial."""
    if item["current_period_end"] > account.now():
        return item
    start, end = periods.containing(anchor, item["price"]["recurring"], account.now())
    since = {"since": item["current_period_start"]}  # the price that was paid for it no longer applies
    since |= {"billed": item["_"]["billed_early"]} if item.get("_", {}).get("billed_early") else {}
    begins = max(start, item["current_period_end"])  # a trial may end before its anchor
    stub = {"stub": start} if begins > start else {}
    return item | {"_": ({} if free else since) | stub, "current_period_start": begins, "current_period_end": end}


def resume(account: Account, subscription: Json, unchanged: bool, on_attempt: bool) -> Json:
    """Resume a paused subscription, once its new period is paid for.

    unchanged: the old period continues, if it isn't over · on_attempt: it resumes even if the payment fails.
    """
    if unchanged and subscription_items.period_end(subscription) > account.now():
        return pauses.resumed(account, subscription)
    data = [updates.beginning(account, item) for item in subscription["items"]["data"]]
    changes: Json = subscription_items.anchored(account) | {"latest_invoice": account.new_id("invoice")}
    changes |= {"items": subscription["items"] | {"data": data}}
    account.change(subscription, changes, "customer.subscription.updated")
    invoice = billing.bill(account, subscription, "subscription_update", data)
    account.at(subscription_items.next_end(subscription), "renew", subscription["id"])
    if on_attempt:
        pauses.resumed(account, subscription)
    finalization.collect(account, invoice)
    return account.find("subscription", subscription["id"])


def next_phase(account: Account, schedule: Json) -> None:
    """Begin the first phase, or the next after one has ended: with a renewal, or within the current period."""
    if schedule["status"] == "not_started" and schedule["phases"][0]["start_date"] <= account.now():
        transitions.start(account, schedule)
        return
    if not lifecycle.is_over(account, schedule):
        return
    subscription = account.find("subscription", schedule["subscription"])
    if subscription_items.next_end(subscription) <= account.now():
        renew(account, subscription)
    else:
        transitions.move_on(account, schedule)
