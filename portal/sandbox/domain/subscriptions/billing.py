"""The invoices of a subscription, and their lines."""

from decimal import Decimal
from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.domain.invoices import drafts, invoice_items
from portal.sandbox.domain.pricing import amounts, currencies, discount_amounts, discounts, meters, taxes, tiers
from portal.sandbox.domain.subscriptions import subscription_items

Json = dict[str, Any]


def parent(subscription: Json) -> Json:
    """Return how an invoice names its subscription."""
    named = {"metadata": subscription["metadata"], "subscription": subscription["id"]}
    return {"type": "subscription_details", "quote_details": None, "subscription_details": named}


def bill(account: Account, subscription: Json, reason: str, items: list[Json]) -> Json:
    """Draft the subscription's latest_invoice: the current period of these items, and other pending items."""
    customer = account.find("customer", subscription["customer"])
    until = subscription["cancel_at"] if reason == "subscription_cycle" else None
    lines = [line for item in items for line in period_lines(account, subscription, item, until)]
    fields = {
        "id": subscription["latest_invoice"],
        "automatic_tax": taxes.calculated(subscription["automatic_tax"], customer),
        "billing_reason": reason,
        "default_tax_rates": subscription["default_tax_rates"],
        "discounts": discounts.of_subscription(account, subscription),
        "collection_method": subscription["collection_method"],
        "parent": parent(subscription),
        **texts(subscription),
        "_": {"days_until_due": subscription["days_until_due"]},
        "period_start": subscription["items"]["data"][0]["current_period_start"],
    }
    extra = invoice_items.take(account, customer["id"], subscription["currency"], subscription["id"])
    invoice = drafts.draft(account, customer, subscription["currency"], lines + extra, fields)
    if items and subscription["status"] != "trialing":
        remember_prices(items, invoice)
        account.save(subscription)
        discounts.used(account, [*invoice["discounts"], *(id_ for line in lines for id_ in line["discounts"])])
        subscription.update(account.get(subscription["id"]) or {})
    return invoice


def texts(subscription: Json) -> Json:
    """Return the fields of an invoice that its subscription's settings give it."""
    settings, types = subscription["invoice_settings"], subscription["payment_settings"]["payment_method_types"]
    plain = {"default_mandate": None, "payment_method_options": None, "payment_method_types": types}
    return {name: settings[name] for name in ("custom_fields", "description", "footer")} | {
        "payment_settings": plain
    }


def remember_prices(items: list[Json], invoice: Json) -> None:
    """Store what each item's period cost after discounts, so that unused time is credited at the paid price."""
    for item in items:
        lines = [line for line in invoice["lines"]["data"] if bills(line, item)]
        off = sum(part["amount"] for line in lines for part in line["discount_amounts"])
        item["_"] = item.get("_", {}) | {"net": sum(line["amount"] for line in lines) - off}


def bills(line: Json, item: Json) -> bool:
    """Return whether a line is for a period of this item."""
    named = (line["parent"] or {}).get("subscription_item_details") or {}
    return bool(named.get("subscription_item") == item["id"])


def period_lines(account: Account, subscription: Json, item: Json, until: int | None = None) -> list[Json]:
    """Return the lines for one item's current period. One that ends before (`until`) always costs its part.

    https://docs.stripe.com/api/subscriptions/update#update_subscription-cancel_at
    """
    fields: Json = {"parent": subscription_items.item_parent(item), "subscription": subscription["id"]}
    fields["_"] = {"tax_rates": item["tax_rates"]}
    fields["discounts"] = discounts.running(account, item["discounts"])
    fields["metadata"] = subscription["metadata"]  # docs.stripe.com/api/invoice-line-item/object
    if item["price"]["recurring"]["usage_type"] == "metered":
        return usage_lines(account, subscription, item, fields)
    start, end = item["current_period_start"], item["current_period_end"]
    ends = until if until and start < until < end else end
    period = {"start": start, "end": ends}
    price = currencies.within(item["price"], subscription["currency"])
    if subscription["status"] == "trialing":
        fields |= {"amount": 0, "description": f"Trial period for {_name(account, item)}"}
    elif item.get("_", {}).get("stub") or ends < end:
        left = subscription_items.share(item) * (ends - start) / (end - start)
        fields["amount"] = discount_amounts.half_up(tiers.exact(price, item["quantity"]) * left)
    return amounts.lines(account, price, item.get("quantity", 0), period, fields)


def usage_lines(account: Account, subscription: Json, item: Json, fields: Json) -> list[Json]:
    """Return the lines for usage in the period that has just ended, without what a threshold has billed of it;
    there is none before the first.
    """
    end, hidden = item["current_period_start"], item.get("_", {})
    since, billed = hidden.get("since", end), hidden.get("billed")
    meter = account.find("billing.meter", item["price"]["recurring"]["meter"])
    used = meters.used(account, meter, subscription["customer"], since, end)
    price = currencies.within(item["price"], subscription["currency"])
    if billed:  # tiers count all usage of a period: the rest is priced by what was used before it
        fields = fields | {"amount": amounts.amount_of(price, used) - billed["amount"]}
        used -= Decimal(billed["quantity"])
    exact = {"quantity": int(used), "quantity_decimal": format(used, "f")}
    return amounts.lines(account, price, used, {"start": since, "end": end}, fields | exact)


def _name(account: Account, item: Json) -> str:
    return str(account.find("product", item["price"]["product"])["name"])
