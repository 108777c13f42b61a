"""Subscription items, and the parameters of items that other resources take."""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api import lists
from portal.sandbox.api.errors import StripeError
from portal.sandbox.api.operations import operation
from portal.sandbox.api.wire import missing_parameter
from portal.sandbox.domain.pricing import tax_rates
from portal.sandbox.domain.subscriptions import updates
from portal.sandbox.resources.common import given
from portal.sandbox.resources.prices import new_price

Json = dict[str, Any]


@operation("GET", "/v1/subscription_items")
def items(account: Account, params: Json) -> Json:
    subscription = account.find("subscription", params["subscription"], "subscription")
    return lists.slice_of(subscription["items"]["data"], params, "/v1/subscription_items")


@operation("GET", "/v1/subscription_items/{item}")
def item(account: Account, params: Json, item: str) -> Json:
    return updates.item_of(account, item)[1]


@operation("POST", "/v1/subscription_items")
def add_item(account: Account, params: Json) -> Json:
    subscription = account.find("subscription", params["subscription"], "subscription")
    known = {item["id"] for item in subscription["items"]["data"]}
    after = updates.change(account, subscription, [priced(account, params, "")], {}, params)
    return next(item for item in after["items"]["data"] if item["id"] not in known)


@operation("POST", "/v1/subscription_items/{item}")
def change_item(account: Account, params: Json, item: str) -> Json:
    subscription, _ = updates.item_of(account, item)
    updates.change(account, subscription, [update_item(account, params | {"id": item}, "")], {}, params)
    return updates.item_of(account, item)[1]


@operation("DELETE", "/v1/subscription_items/{item}")
def delete_item(account: Account, params: Json, item: str) -> Json:
    subscription, _ = updates.item_of(account, item)
    if len(subscription["items"]["data"]) == 1:
        raise StripeError("A subscription must have at least one active item.")
    updates.change(account, subscription, [{"id": item, "deleted": True}], {}, params)
    return {"id": item, "object": "subscription_item", "deleted": True}


def priced(account: Account, item: Json, at: str) -> Json:
    """Return an item with its price; an inline price is created. Raises StripeError."""
    item = taxed(account, item, at)
    if item.get("price_data"):
        return item | {"price": new_price(account, given(item["price_data"]))}
    if not item.get("price"):
        raise missing_parameter(f"{at}[price]")
    price = account.find("price", item["price"], f"{at}[price]")
    if not price["active"]:
        raise StripeError(
            "The price specified is inactive. This field only accepts active prices.", param=f"{at}[price]"
        )
    return item | {"price": price}


def taxed(account: Account, item: Json, at: str) -> Json:
    """Return an item's parameters, with the tax rates themselves; an empty text unsets them, or its discounts.
    Raises StripeError.
    """
    kept = given(item) | ({"discounts": item["discounts"] or []} if "discounts" in item else {})
    kept |= {name: item[name] for name in ("billing_thresholds",) if name in item}
    if "tax_rates" not in item:
        return kept
    rates = tax_rates.named(account, item["tax_rates"], f"{at}[tax_rates]" if at else "tax_rates")
    return kept | {"tax_rates": rates}


def update_item(account: Account, item: Json, at: str) -> Json:
    """Change an item: the price is looked up or created only if one is given."""
    named = item.get("price") or item.get("price_data")
    return priced(account, item, at) if named else taxed(account, item, at)
