"""Changing a running subscription: other prices and quantities."""

from decimal import Decimal
from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api.errors import CardError, missing
from portal.sandbox.domain.invoices import finalization
from portal.sandbox.domain.pricing import periods, tiers
from portal.sandbox.domain.subscriptions import (
    billing,
    pauses,
    pending_updates,
    prorations,
    subscription_items,
    trials,
)

Json = dict[str, Any]

UPDATED = "customer.subscription.updated"


def item_of(account: Account, id_: str) -> tuple[Json, Json]:
    """The subscription that has an item, and the item. Raises StripeError."""
    has = "EXISTS (SELECT 1 FROM json_each(objects.json, '$.items.data') WHERE json_extract(value, '$.id') = ?)"
    for subscription in account.store.select(account.mode, "subscription", has, id_):
        return subscription, next(i for i in subscription["items"]["data"] if i["id"] == id_)
    raise missing("subscription_item", id_)


def change(account: Account, subscription: Json, items: list[Json], changes: Json, params: Json) -> Json:
    """Write changes to a subscription, prorate them, and bill that now if it is due. Raises StripeError."""
    behavior = params.get("payment_behavior")
    if behavior == "pending_if_incomplete":
        pending_updates.require_supported(account, subscription)
    plan = planned(account, subscription, items, params)
    if behavior == "pending_if_incomplete" and plan.bills:
        invoice = draft(account, subscription, plan, params)
        pending_updates.attempt(account, subscription, invoice, changes | plan.fields)
        return account.find("subscription", subscription["id"])
    write(account, subscription, plan, changes)
    if plan.bills:
        invoice = draft(account, subscription, plan, params)
        collect(account, subscription, invoice, behavior)
    else:
        prorations.prorate(account, subscription, plan, params.get("proration_date"))
    return account.find("subscription", subscription["id"])


def planned(account: Account, subscription: Json, items: list[Json], params: Json) -> prorations.Plan:
    """What a change would do. Raises StripeError."""
    before = subscription["items"]["data"]
    after = items_after(account, subscription, items)
    behavior = params.get("proration_behavior") or "create_prorations"
    trialing = subscription["status"] == "trialing"
    if trialing and params.get("trial_end") == "now":
        return ended_trial(account, subscription, after)
    anew = params.get("billing_cycle_anchor") == "now" or restarts(before, after)
    running = subscription["status"] in ("active", "past_due")
    fields: Json = {}
    if anew and running:
        after = [beginning(account, item) for item in after]
        fields["billing_cycle_anchor"] = account.now()
    if after != before:
        fields["items"] = subscription["items"] | {"data": after}
    owing = running and after != before
    return prorations.Plan(
        before,
        after,
        fields,
        prorates=owing and behavior != "none",
        bills=owing and (anew or behavior == "always_invoice"),
        periods=after if anew else [],
    )


def ended_trial(account: Account, subscription: Json, after: list[Json]) -> prorations.Plan:
    """A trial that is ended by hand: the first paid period begins now, unless there is nothing to pay with."""
    now = account.now()
    if trials.outcome(account, subscription) != "create_invoice":
        fields = {"trial_end": now, "items": subscription["items"] | {"data": after}}
        return prorations.Plan(after, after, fields, prorates=False, bills=False, periods=[])
    after = [beginning(account, item) for item in after]
    fields = {"status": "active", "trial_end": now, "billing_cycle_anchor": now}
    fields["items"] = subscription["items"] | {"data": after}
    return prorations.Plan(after, after, fields, prorates=False, bills=True, periods=after)


def write(account: Account, subscription: Json, plan: prorations.Plan, changes: Json) -> None:
    """Make the change itself; a trial that ends without a card stops the subscription."""
    account.change(subscription, changes | plan.fields, UPDATED)
    if "items" in plan.fields:
        account.at(subscription_items.next_end(subscription), "renew", subscription["id"])
    ended = subscription["status"] == "trialing" and subscription["trial_end"] <= account.now()
    if ended and trials.outcome(account, subscription) == "pause":
        pauses.pause(account, subscription, "trial_end_without_payment_method")


def draft(account: Account, subscription: Json, plan: prorations.Plan, params: Json) -> Json:
    """The invoice for a change that is billed at once."""
    prorations.prorate(account, subscription, plan, params.get("proration_date"))
    account.change(subscription, {"latest_invoice": account.new_id("invoice")}, UPDATED)
    return billing.bill(account, subscription, "subscription_update", plan.periods)


def collect(account: Account, subscription: Json, invoice: Json, behavior: str | None) -> None:
    """Charge the invoice of a change as payment_behavior says. Raises CardError for error_if_incomplete."""
    if behavior == "default_incomplete":
        opened = finalization.finalize(account, invoice)
        if opened["status"] == "open":
            found = account.find("subscription", subscription["id"])
            account.change(found, {"status": "past_due"}, UPDATED)
        return
    done = finalization.collect(account, invoice)
    if behavior == "error_if_incomplete" and done["status"] == "open":
        raise undone()


def undone() -> CardError:
    """The refusal of a change whose payment failed, with nothing left of it."""
    error = CardError("Your card was declined.", code="card_declined", decline_code="generic_decline")
    error.keeps = False
    return error


def restarts(before: list[Json], after: list[Json]) -> bool:
    """Whether a change begins a new billing cycle: another interval, or from free to paid."""
    pairs = [(b, a) for b in before for a in after if a["id"] == b["id"]]
    return any(interval(b) != interval(a) or (_price(b) == 0 < _price(a)) for b, a in pairs)


def interval(item: Json) -> tuple[str, int]:
    """How often an item is charged."""
    return item["price"]["recurring"]["interval"], item["price"]["recurring"]["interval_count"]


def _price(item: Json) -> Decimal:
    metered = item["price"]["recurring"]["usage_type"] == "metered"
    return Decimal(1) if metered else tiers.exact(item["price"], item["quantity"])


def beginning(account: Account, item: Json) -> Json:
    """An item with a period that begins now."""
    now = account.now()
    return item | {
        "current_period_start": now,
        "current_period_end": periods.boundary(now, item["price"]["recurring"], 1),
    }


def items_after(account: Account, subscription: Json, items: list[Json]) -> list[Json]:
    """The items as they will be. Raises StripeError for an id that isn't one of them."""
    kept = [dict(item) for item in subscription["items"]["data"]]
    for wanted in items:
        place = next((n for n, item in enumerate(kept) if item["id"] == wanted.get("id")), None)
        if wanted.get("id") and place is None:
            raise missing("subscription_item", wanted["id"], "items[0][id]")
        if place is None:
            anchor = subscription["billing_cycle_anchor"]
            kept.append(subscription_items.new_item(account, subscription["id"], wanted, anchor=anchor))
        elif wanted.get("deleted"):
            kept.pop(place)
        else:
            kept[place] = changed_item(kept[place], wanted)
    if kept:
        subscription_items.require_together(kept)
    return kept


def changed_item(item: Json, wanted: Json) -> Json:
    """An item with another price or quantity."""
    price: Json = wanted.get("price") or item["price"]
    made = item | {"price": price, "plan": subscription_items.plan(price)}
    if wanted.get("quantity") is not None:
        made["quantity"] = wanted["quantity"]
    if (made["price"], made.get("quantity")) != (item["price"], item.get("quantity")):
        made["_"] = {name: value for name, value in item.get("_", {}).items() if name != "net"}
    return made
