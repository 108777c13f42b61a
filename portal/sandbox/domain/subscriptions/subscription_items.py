"""Subscription items and their billing periods."""

from decimal import Decimal
from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api.errors import StripeError
from portal.sandbox.domain.pricing import currencies, discounts, periods

Json = dict[str, Any]


def new_item(
    account: Account,
    subscription: str,
    item: Json,
    period: tuple[int, int] | None = None,
    anchor: int | None = None,
) -> Json:
    """Return an item of a subscription, with its own period."""
    price = item["price"]
    now = account.now()
    start, end = period or periods.containing(anchor or now, price["recurring"], now)
    fields = {
        "billing_thresholds": item.get("billing_thresholds"),
        "current_period_end": end,
        "current_period_start": start,
        "metadata": item.get("metadata") or {},
        "plan": plan(price),
        "price": price,
        "subscription": subscription,
        "tax_rates": item.get("tax_rates") or [],
    }
    if price["recurring"]["usage_type"] == "licensed":
        fields["quantity"] = 1 if item.get("quantity") is None else item["quantity"]
    return account.build("subscription_item", fields | {"_": item.get("_") or {}})


def discount(account: Account, subscription: Json, item: Json, asked: list[Json], number: int = 0) -> None:
    """Replace the discounts of an item, in place. Raises StripeError."""
    owner = {"customer": subscription["customer"], "subscription": subscription["id"]}
    owner["subscription_item"] = item["id"]
    at, before = f"items[{number}][discounts]", item["discounts"]
    item["discounts"] = discounts.redeem(account, asked, owner, subscription["currency"], at=at)
    for id_ in set(before) - set(item["discounts"]):
        account.emit(discounts.ENDED, account.find("discount", id_))


def first_period(account: Account, price: Json, anchor: int) -> Json:
    """Return the period that begins now and ends with an anchor's cycle, as fields of a new item.

    "stub" is when the whole period would have begun, if this is only a part of it.
    """
    now = account.now()
    whole, end = periods.containing(anchor, price["recurring"], now)
    return {"period": (now, end), "_": {"stub": whole} if whole < now else {}}


def anchored(account: Account) -> Json:
    """Return the fields of a subscription whose billing cycle starts anew now."""
    return {"billing_cycle_anchor": account.now(), "billing_cycle_anchor_config": None}


def share(item: Json, start: int | None = None) -> Decimal:
    """Return how much of an item's whole period is left after a time: 1 from its start."""
    begin: int = item["current_period_start"]
    end: int = item["current_period_end"]
    whole: int = item.get("_", {}).get("stub", begin)
    left: int = max(0, end - max(begin if start is None else start, begin))
    return Decimal(left) / max(1, end - whole)


def plan(price: Json) -> Json:
    """Return the price in the format of older integrations."""
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
    """Return when the current period ends: the latest of the items'."""
    ends: list[int] = [item["current_period_end"] for item in subscription["items"]["data"]]
    return max(ends)


def require_together(items: list[Json], currency: str, at: str = "items") -> None:
    """Raise StripeError for a price that does not have the subscription's currency, and for one price twice."""
    seen: set[str] = set()
    for number, item in enumerate(items):
        price, here = item["price"], f"{at}[{number}][price]"
        currencies.within(price, currency, here)
        if price["id"] in seen:
            words = "Cannot add multiple subscription items with the same price: "
            raise StripeError(words + price["id"], param=here)
        seen.add(price["id"])


def next_end(subscription: Json) -> int:
    """Return when the next of its items' periods ends, which is when it is billed again."""
    ends: list[int] = [item["current_period_end"] for item in subscription["items"]["data"]]
    return min(ends)


def item_parent(item: Json, proration: bool = False) -> Json:
    """Return how an invoice's line names its subscription item."""
    named = {
        "invoice_item": None,
        "proration": proration,
        "proration_details": {"credited_items": None},
        "subscription": item["subscription"],
        "subscription_item": item["id"],
    }
    return {"type": "subscription_item_details", "invoice_item_details": None, "subscription_item_details": named}
