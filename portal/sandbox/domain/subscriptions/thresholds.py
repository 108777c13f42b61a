"""Billing thresholds: usage is billed before its period ends, once it reaches an amount or a quantity.

https://docs.stripe.com/billing/subscriptions/usage-based/thresholds
"""

from decimal import Decimal
from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api.errors import StripeError
from portal.sandbox.domain.invoices import drafts
from portal.sandbox.domain.pricing import amounts, currencies, meters
from portal.sandbox.domain.subscriptions import billing, collection, subscription_items, updates

Json = dict[str, Any]
QUIET = 24 * 3600  # seconds before the end of a period in which no threshold counts


def require_valid(thresholds: Json | None, items: list[Json], currency: str) -> Json | None:
    """Return billing_thresholds as a subscription shows them. Raises StripeError for an amount that its licensed
    items reach by themselves.
    """
    if not thresholds:
        return None
    licensed = [i for i in items if i["price"]["recurring"]["usage_type"] == "licensed"]
    prices = [(currencies.within(i["price"], currency), i.get("quantity")) for i in licensed]
    least = sum(amounts.amount_of(price, 1 if number is None else number) for price, number in prices)
    if thresholds.get("amount_gte") is not None and thresholds["amount_gte"] <= least:
        words = f"The threshold must be greater than the sum of all licensed prices ({least})."
        raise StripeError(words, param="billing_thresholds[amount_gte]")
    return {"amount_gte": None, "reset_billing_cycle_anchor": None} | thresholds


def check(account: Account, customer: str, meter: str) -> None:
    """Bill each subscription of a customer whose usage of a meter has reached a threshold."""
    running = "json_extract(json, '$.customer') = ? AND json_extract(json, '$.status') IN ('active', 'past_due')"
    for subscription in account.store.select(account.mode, "subscription", running, customer):
        due = [one for one in metered(subscription) if one["price"]["recurring"]["meter"] == meter]
        if due and subscription_items.next_end(subscription) - account.now() > QUIET:
            reason = reached(account, subscription)
            if reason:
                bill(account, subscription, reason)


def metered(subscription: Json) -> list[Json]:
    """Return the items of a subscription that are billed by usage."""
    items: list[Json] = subscription["items"]["data"]
    return [item for item in items if item["price"]["recurring"]["usage_type"] == "metered"]


def until_now(account: Account, item: Json) -> Json:
    """Return a metered item whose period ends now, so that what it has used since its last bill is billed."""
    hidden = {"since": item["current_period_start"], "billed": billed_early(item)}
    return item | {"_": hidden, "current_period_start": account.now() + 1}  # usage of this second counts


def billed_early(item: Json) -> Json:
    """Return what thresholds have billed of an item's period: the amount, and the quantity as a text."""
    found: Json = item.get("_", {}).get("billed_early") or {"amount": 0, "quantity": "0"}
    return found


def reached(account: Account, subscription: Json) -> Json | None:
    """Return the reason for an invoice now, as the invoice shows it; None if no threshold is reached.

    An amount is compared with what would be billed now: after discounts, before taxes, prorations included.
    """
    items = [item for item in metered(subscription) if over_quantity(account, subscription, item)]
    wanted = (subscription["billing_thresholds"] or {}).get("amount_gte")
    if items:
        return {"amount_gte": None, "item_reasons": [{"item": i["id"], **i["billing_thresholds"]} for i in items]}
    if wanted is None:
        return None
    with account.store.rehearsal():
        found = account.find("subscription", subscription["id"])
        drafted = drawn(account, found, {"amount_gte": wanted, "item_reasons": []})
    return {"amount_gte": wanted, "item_reasons": []} if drafted["total_excluding_tax"] >= wanted else None


def over_quantity(account: Account, subscription: Json, item: Json) -> bool:
    """Return whether an item's usage since its last bill has reached its own threshold."""
    wanted = (item["billing_thresholds"] or {}).get("usage_gte")
    if wanted is None:
        return False
    meter = account.find("billing.meter", item["price"]["recurring"]["meter"])
    start, end = item["current_period_start"], account.now() + 1
    used = meters.used(account, meter, subscription["customer"], start, end)
    return bool(used - Decimal(billed_early(item)["quantity"]) >= wanted)


def drawn(account: Account, subscription: Json, reason: Json) -> Json:
    """Draft the invoice of a threshold: the usage so far, and a new period for every item if the billing cycle
    is reset.
    """
    resets = (subscription["billing_thresholds"] or {}).get("reset_billing_cycle_anchor")
    changes: Json = {"latest_invoice": account.new_id("invoice")}
    due = [until_now(account, item) for item in metered(subscription)]
    if resets:
        due = [updates.restarted(account, item, account.now() + 1) for item in subscription["items"]["data"]]
        changes |= subscription_items.anchored(account) | {"items": subscription["items"] | {"data": due}}
    account.change(subscription, changes, updates.UPDATED)
    invoice = billing.bill(account, subscription, "subscription_threshold", due)
    named = [with_lines(invoice, one) for one in reason["item_reasons"]]
    account.change(invoice, {"threshold_reason": reason | {"item_reasons": named}})
    if not resets:
        remember(account, subscription, invoice)
    return invoice


def with_lines(invoice: Json, reason: Json) -> Json:
    """Return the reason of an item as its invoice shows it: its lines, and its threshold."""
    lines = [line["id"] for line in invoice["lines"]["data"] if billing.bills(line, {"id": reason["item"]})]
    return {"line_item_ids": lines, "usage_gte": reason["usage_gte"]}


def remember(account: Account, subscription: Json, invoice: Json) -> None:
    """Store what was billed early, in each metered item: the rest is billed when its period ends."""
    for item in metered(subscription):
        lines = [line for line in invoice["lines"]["data"] if billing.bills(line, item)]
        before = billed_early(item)
        more = {
            "amount": before["amount"] + sum(line["amount"] for line in lines),
            "quantity": str(
                sum((Decimal(line["quantity_decimal"]) for line in lines), Decimal(before["quantity"]))
            ),
        }
        item["_"] = item.get("_", {}) | {"billed_early": more}
    account.save(subscription)


def bill(account: Account, subscription: Json, reason: Json) -> None:
    """Draft the invoice of a threshold, which is finalized and charged an hour later."""
    invoice = drawn(account, subscription, reason)
    if not collection.hold(account, subscription, invoice):
        account.at(account.now() + drafts.DRAFT_FOR, "collect", invoice["id"])
    account.at(subscription_items.next_end(subscription), "renew", subscription["id"])
