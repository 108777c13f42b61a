"""Changing a running subscription: other prices and quantities, with what is owed for the rest of the period."""

from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any

from portal.sandbox import invoicing, items_due, periods, subscribing
from portal.sandbox.errors import missing

if TYPE_CHECKING:
    from portal.sandbox.account import Account

Json = dict[str, Any]


def item_of(account: "Account", id_: str) -> tuple[Json, Json]:
    """The subscription that has an item, and the item. Raises StripeError."""
    has = "EXISTS (SELECT 1 FROM json_each(objects.json, '$.items.data') WHERE json_extract(value, '$.id') = ?)"
    for subscription in account.store.select(account.mode, "subscription", has, id_):
        return subscription, next(i for i in subscription["items"]["data"] if i["id"] == id_)
    raise missing("subscription_item", id_)


def change(account: "Account", subscription: Json, items: list[Json], changes: Json, params: Json) -> Json:
    """Write changes to a subscription, prorate what they cost and bill it now if asked to."""
    before = subscription["items"]["data"]
    after = items_after(account, subscription, items)
    if after != before:
        changes = changes | {"items": subscription["items"] | {"data": after}}
    if params.get("trial_end") == "now" and subscription["status"] == "trialing":
        return end_trial(account, subscription, changes)
    account.change(subscription, changes, "customer.subscription.updated")
    behavior = params.get("proration_behavior") or "create_prorations"
    owing = subscription["status"] in ("active", "past_due") and behavior != "none"
    if owing and after != before:
        prorate(account, subscription, before, after, params.get("proration_date"))
    restarted = any(_interval(b) != _interval(a) for b, a in zip(before, after, strict=False))
    if owing and after != before and (behavior == "always_invoice" or restarted):
        bill_now(account, subscription, "subscription_update")
    return account.find("subscription", subscription["id"])


def _interval(item: Json) -> tuple[str, int]:
    return item["price"]["recurring"]["interval"], item["price"]["recurring"]["interval_count"]


def items_after(account: "Account", subscription: Json, items: list[Json]) -> list[Json]:
    """The items as they will be. Raises StripeError for an id that isn't one of them."""
    kept = [dict(item) for item in subscription["items"]["data"]]
    for wanted in items:
        place = next((n for n, item in enumerate(kept) if item["id"] == wanted.get("id")), None)
        if wanted.get("id") and place is None:
            raise missing("subscription_item", wanted["id"], "items[0][id]")
        if place is None:
            anchor = subscription["billing_cycle_anchor"]
            kept.append(subscribing.new_item(account, subscription["id"], wanted, anchor=anchor))
        elif wanted.get("deleted"):
            kept.pop(place)
        else:
            kept[place] = changed_item(account, kept[place], wanted)
    return kept


def changed_item(account: "Account", item: Json, wanted: Json) -> Json:
    """An item with another price or quantity; another interval begins a new period."""
    price: Json = wanted.get("price") or item["price"]
    made = item | {"price": price, "plan": subscribing.plan(price)}
    if wanted.get("quantity") is not None:
        made["quantity"] = wanted["quantity"]
    if _interval(made) != _interval(item):
        now = account.now()
        made |= {"current_period_start": now, "current_period_end": periods.boundary(now, price["recurring"], 1)}
    return made


def prorate(
    account: "Account", subscription: Json, before: list[Json], after: list[Json], moment: int | None = None
) -> None:
    """Credit the unused time of what was, charge the remaining time of what is, as of a moment (default: now)."""
    customer = account.find("customer", subscription["customer"])
    old, new = {i["id"]: i for i in before}, {i["id"]: i for i in after}
    for id_ in [*old, *(id_ for id_ in new if id_ not in old)]:
        if old.get(id_) == new.get(id_):
            continue
        for items, sign in ((old, -1), (new, 1)):
            if id_ in items:
                owed = part_of_period(account, subscription, items[id_], sign, moment or account.now())
                items_due.add(account, customer, items[id_]["price"], items[id_].get("quantity", 0), owed)


def part_of_period(account: "Account", subscription: Json, item: Json, sign: int, moment: int) -> Json:
    """What the rest of an item's period is worth, as the fields of an invoice item."""
    start, end = item["current_period_start"], item["current_period_end"]
    left = Decimal(max(0, end - max(moment, start))) / max(1, end - start)
    exact = Decimal(item["price"]["unit_amount_decimal"] or 0) * item.get("quantity", 0) * left
    name = account.find("product", item["price"]["product"])["name"]
    named = {"subscription": subscription["id"], "subscription_item": item["id"]}
    return {
        "amount": sign * int(exact.quantize(Decimal(1), ROUND_HALF_UP)),
        "description": f"{'Remaining' if sign > 0 else 'Unused'} time on {name}",
        "discountable": False,
        "parent": {"type": "subscription_details", "subscription_details": named},
        "period": {"start": moment, "end": end},
        "proration": True,
    }


def bill_now(account: "Account", subscription: Json, reason: str) -> None:
    """Invoice what is pending at once and charge it."""
    latest = {"latest_invoice": account.new_id("invoice")}
    account.change(subscription, latest, "customer.subscription.updated")
    invoice = subscribing.bill(account, subscription, reason)
    invoicing.collect(account, invoice)


def end_trial(account: "Account", subscription: Json, changes: Json) -> Json:
    """Begin the first paid period now; without a payment method the trial's settings decide."""
    now = account.now()
    behavior = subscription["trial_settings"]["end_behavior"]["missing_payment_method"]
    customer = account.find("customer", subscription["customer"])
    method = subscription["default_payment_method"] or customer["invoice_settings"]["default_payment_method"]
    if not method and behavior == "pause":
        account.change(subscription, changes | {"status": "paused", "trial_end": now})
        account.emit("customer.subscription.paused", subscription)
        return subscription
    for item in subscription["items"]["data"]:
        ends = periods.boundary(now, item["price"]["recurring"], 1)
        item.update(current_period_start=now, current_period_end=ends)
    more = {"status": "active", "trial_end": now, "billing_cycle_anchor": now}
    more["latest_invoice"] = account.new_id("invoice")
    account.change(subscription, changes | more, "customer.subscription.updated")
    invoice = subscribing.bill(account, subscription, "subscription_cycle")
    invoicing.collect(account, invoice)
    return account.find("subscription", subscription["id"])
