"""The invoices that a subscription makes, and their lines."""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.domain.invoices import drafts, invoice_items
from portal.sandbox.domain.pricing import amounts, discounts, meters, taxes
from portal.sandbox.domain.subscriptions import subscription_items

Json = dict[str, Any]


def parent(subscription: Json) -> Json:
    """How an invoice names its subscription."""
    named = {"metadata": subscription["metadata"], "subscription": subscription["id"]}
    return {"type": "subscription_details", "quote_details": None, "subscription_details": named}


def bill(account: Account, subscription: Json, reason: str, items: list[Json]) -> Json:
    """The subscription's latest_invoice as a draft: these items' current period, and what else is pending."""
    customer = account.find("customer", subscription["customer"])
    lines = [period_line(account, subscription, item) for item in items]
    fields = {
        "id": subscription["latest_invoice"],
        "automatic_tax": taxes.calculated(subscription["automatic_tax"], customer),
        "billing_reason": reason,
        "discounts": [one["id"] for one in discounts.running(account, subscription["discounts"])],
        "collection_method": subscription["collection_method"],
        "parent": parent(subscription),
        "_": {"days_until_due": subscription["days_until_due"]},
        "period_start": subscription["items"]["data"][0]["current_period_start"],
    }
    extra = invoice_items.take(account, customer["id"], subscription["currency"], subscription["id"])
    invoice = drafts.draft(account, customer, subscription["currency"], lines + extra, fields)
    if items and subscription["status"] != "trialing":
        remember_prices(items, invoice)
        discounts.used(account, subscription)
        account.save(subscription)
    return invoice


def remember_prices(items: list[Json], invoice: Json) -> None:
    """What each item's period cost after discounts, so that unused time is credited at what was paid for it."""
    for item, line in zip(items, invoice["lines"]["data"], strict=False):
        off = sum(part["amount"] for part in line["discount_amounts"])
        item["_"] = item.get("_", {}) | {"net": line["amount"] - off}


def period_line(account: Account, subscription: Json, item: Json) -> Json:
    """The line for one item's current period."""
    fields: Json = {"parent": subscription_items.item_parent(item), "subscription": subscription["id"]}
    if item["price"]["recurring"]["usage_type"] == "metered":
        return usage_line(account, subscription, item, fields)
    period = {"start": item["current_period_start"], "end": item["current_period_end"]}
    if subscription["status"] == "trialing":
        fields |= {"amount": 0, "description": f"Trial period for {_name(account, item)}"}
    return amounts.line(account, item["price"], item.get("quantity", 0), period, fields)


def usage_line(account: Account, subscription: Json, item: Json, fields: Json) -> Json:
    """The line for what was used in the period that has just ended; there is none before the first."""
    end = item["current_period_start"]
    since = item.get("_", {}).get("since", end)
    meter = account.find("billing.meter", item["price"]["recurring"]["meter"])
    used = meters.used(account, meter, subscription["customer"], since, end)
    exact = {"quantity": int(used), "quantity_decimal": format(used, "f")}
    return amounts.line(account, item["price"], used, {"start": since, "end": end}, fields | exact)


def _name(account: Account, item: Json) -> str:
    return str(account.find("product", item["price"]["product"])["name"])
