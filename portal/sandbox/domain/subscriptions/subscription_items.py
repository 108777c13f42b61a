"""Subscription items and their billing periods."""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api.errors import StripeError
from portal.sandbox.domain.pricing import periods

Json = dict[str, Any]


def new_item(
    account: Account,
    subscription: str,
    item: Json,
    period: tuple[int, int] | None = None,
    anchor: int | None = None,
) -> Json:
    """An item of a subscription, with its own period."""
    price = item["price"]
    now = account.now()
    start, end = period or periods.containing(anchor or now, price["recurring"], now)
    fields = {
        "billing_thresholds": None,
        "current_period_end": end,
        "current_period_start": start,
        "metadata": item.get("metadata") or {},
        "plan": plan(price),
        "price": price,
        "subscription": subscription,
        "tax_rates": [],
    }
    if price["recurring"]["usage_type"] == "licensed":
        fields["quantity"] = 1 if item.get("quantity") is None else item["quantity"]
    return account.build("subscription_item", fields)


def plan(price: Json) -> Json:
    """The price in the form that older integrations read."""
    recurring = price["recurring"]
    return {
        "id": price["id"],
        "object": "plan",
        "active": price["active"],
        "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"],
        "billing_scheme": price["billing_scheme"],
        "created": price["created"],
        "currency": price["currency"],
        "interval": recurring["interval"],
        "interval_count": recurring["interval_count"],
        "livemode": price["livemode"],
        "metadata": price["metadata"],
        "meter": recurring["meter"],
        "nickname": price["nickname"],
        "product": price["product"],
        "tiers_mode": price["tiers_mode"],
        "transform_usage": None,
        "trial_period_days": None,
        "usage_type": recurring["usage_type"],
    }


def period_end(subscription: Json) -> int:
    """When the current period ends: the latest of the items'."""
    ends: list[int] = [item["current_period_end"] for item in subscription["items"]["data"]]
    return max(ends)


def require_together(items: list[Json]) -> None:
    """Raises StripeError for items of two currencies, or with one price twice."""
    seen: set[str] = set()
    currency = items[0]["price"]["currency"]
    for number, item in enumerate(items):
        price, at = item["price"], f"items[{number}][price]"
        if price["currency"] != currency:
            words = f"The price specified only supports `{price['currency']}`. This doesn't match the expected "
            raise StripeError(f"{words}currency: `{currency}`.", param=at)
        if price["id"] in seen:
            words = "Cannot add multiple subscription items with the same price: "
            raise StripeError(words + price["id"], param=at)
        seen.add(price["id"])


def next_end(subscription: Json) -> int:
    """When the next of its items' periods ends, which is when it is billed again."""
    ends: list[int] = [item["current_period_end"] for item in subscription["items"]["data"]]
    return min(ends)


def item_parent(item: Json, proration: bool = False) -> Json:
    """How an invoice's line names its subscription item."""
    named = {
        "invoice_item": None,
        "proration": proration,
        "proration_details": {"credited_items": None},
        "subscription": item["subscription"],
        "subscription_item": item["id"],
    }
    return {"type": "subscription_item_details", "invoice_item_details": None, "subscription_item_details": named}
