"""The end of a billing period: what was cancelled ends, what was scheduled begins, the rest is billed again."""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.domain.invoices import drafts, finalization
from portal.sandbox.domain.pricing import periods
from portal.sandbox.domain.subscriptions import (
    billing,
    cancellation,
    pauses,
    schedules,
    subscription_items,
    trials,
    updates,
)

Json = dict[str, Any]
STANDING = ("canceled", "incomplete", "incomplete_expired", "paused")


def renew(account: Account, subscription: Json) -> Json:
    """End a subscription, pause it, or begin and bill its next period."""
    if subscription["status"] in STANDING:
        return subscription
    if cancellation.is_due(account, subscription):
        return cancellation.end(account, subscription)
    if subscription["status"] == "trialing":
        outcome = trials.outcome(account, subscription)
        if outcome == "cancel":
            return cancellation.end(account, subscription, "payment_failed")
        if outcome == "pause":
            return pauses.pause(account, subscription, "trial_end_without_payment_method")
    return begin_period(account, subscription)


def begin_period(account: Account, subscription: Json) -> Json:
    """Move the items that are due to their next period, and draft the invoice for it."""
    changes = scheduled_changes(account, subscription)
    subscription = account.find("subscription", subscription["id"])
    if subscription["status"] in STANDING:
        return subscription
    anchor = (subscription | changes)["billing_cycle_anchor"]
    items = changes.pop("data", subscription["items"]["data"])
    after = [roll(account, item, anchor) for item in items]
    due = begun(subscription["items"]["data"], after)
    if not due:  # a change since this date was set has moved every period
        return account.change(subscription, changes | {"items": subscription["items"] | {"data": after}})
    changes |= {"items": subscription["items"] | {"data": after}, "latest_invoice": account.new_id("invoice")}
    if subscription["status"] == "trialing":
        changes["status"] = "active"
    account.change(subscription, changes, "customer.subscription.updated")
    invoice = billing.bill(account, subscription, "subscription_cycle", due)
    account.at(account.now() + drafts.DRAFT_FOR, "collect", invoice["id"])
    account.at(subscription_items.next_end(subscription), "renew", subscription["id"])
    return account.find("subscription", subscription["id"])


def begun(before: list[Json], after: list[Json]) -> list[Json]:
    """The items whose period is a new one; where intervals are mixed, each is billed when its own period begins.

    https://docs.stripe.com/billing/subscriptions/mixed-interval
    """
    starts = {item["id"]: item["current_period_start"] for item in before}
    return [item for item in after if item["current_period_start"] != starts.get(item["id"])]


def roll(account: Account, item: Json, anchor: int) -> Json:
    """An item in the period that holds now."""
    if item["current_period_end"] > account.now():
        return item
    start, end = periods.containing(anchor, item["price"]["recurring"], account.now())
    since = {"since": item["current_period_start"]}  # and what was paid for it is history
    return item | {"_": since, "current_period_start": start, "current_period_end": end}


def resume(account: Account, subscription: Json, unchanged: bool, on_attempt: bool) -> Json:
    """Let a paused subscription run again, once its new period is paid for.

    unchanged: the old period goes on, where it isn't over · on_attempt: it runs also when the payment fails.
    """
    if unchanged and subscription_items.period_end(subscription) > account.now():
        return pauses.resumed(account, subscription)
    data = [updates.beginning(account, item) for item in subscription["items"]["data"]]
    changes: Json = {"billing_cycle_anchor": account.now(), "latest_invoice": account.new_id("invoice")}
    changes |= {"items": subscription["items"] | {"data": data}}
    account.change(subscription, changes, "customer.subscription.updated")
    invoice = billing.bill(account, subscription, "subscription_update", data)
    account.at(subscription_items.next_end(subscription), "renew", subscription["id"])
    if on_attempt:
        pauses.resumed(account, subscription)
    finalization.collect(account, invoice)
    return account.find("subscription", subscription["id"])


def scheduled_changes(account: Account, subscription: Json) -> Json:
    """What a schedule changes with this renewal: items under data, and a new anchor for another interval."""
    schedule = account.get(subscription["schedule"])
    if schedule is None or not schedules.is_over(account, schedule):
        return {}
    phase = schedules.following(account, schedule)
    if phase is None:
        finish(account, schedule, subscription)
        return {}
    schedules.write(account, schedule, {})
    account.change(subscription, {"discounts": schedules.own_discounts(account, subscription, phase)})
    before = subscription["items"]["data"]
    after = updates.items_after(account, subscription, schedules.wanted(account, subscription, phase))
    terms = schedules.terms(subscription, phase)
    if not updates.restarts(before, after):
        return terms | {"data": after}
    began = [updates.beginning(account, item) for item in after]
    return terms | {"data": began, "billing_cycle_anchor": account.now()}


def next_phase(account: Account, schedule: Json) -> None:
    """A phase has ended: with a renewal the next one begins with that, otherwise it changes the running period."""
    if not schedules.is_over(account, schedule):
        return
    subscription = account.find("subscription", schedule["subscription"])
    if subscription_items.next_end(subscription) <= account.now():
        renew(account, subscription)
        return
    phase = schedules.following(account, schedule)
    if phase is None:
        finish(account, schedule, subscription)
    else:
        schedules.write(account, schedule, {})
        enter(account, subscription, phase)


def enter(account: Account, subscription: Json, phase: Json) -> None:
    """Bring a subscription to what a phase says, prorated as the phase says."""
    items = schedules.wanted(account, subscription, phase)
    terms = schedules.terms(subscription, phase)
    terms["discounts"] = schedules.own_discounts(account, subscription, phase)
    updates.change(account, subscription, items, terms, {"proration_behavior": phase["proration_behavior"]})


def finish(account: Account, schedule: Json, subscription: Json) -> None:
    """The last phase has ended: the subscription goes on by itself, or ends too."""
    if schedule["end_behavior"] == "cancel":
        cancellation.end(account, subscription)
    else:
        schedules.complete(account, schedule)
