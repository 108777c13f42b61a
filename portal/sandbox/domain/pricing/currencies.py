"""Prices in several currencies, and which of them a purchase uses.

https://docs.stripe.com/products-prices/manage-prices
"""

from typing import Any

from portal.sandbox.api.errors import StripeError

Json = dict[str, Any]


def options(price: Json) -> dict[str, Json]:
    """Return a price in each of its currencies, its own first."""
    own = {
        name: price[name] for name in ("custom_unit_amount", "tax_behavior", "unit_amount", "unit_amount_decimal")
    }
    tiers = price.get("_", {}).get("tiers") or []
    others: dict[str, Json] = price.get("_", {}).get("currency_options") or {}
    return {price["currency"]: own | {"tiers": tiers}} | others


def within(price: Json, currency: str, at: str = "price") -> Json:
    """Return a price as it is in one of its currencies. Raises StripeError if it has no such."""
    if price["currency"] == currency:
        return price
    found = options(price).get(currency)
    if found is None:
        words = (
            f"The price specified only supports `{', '.join(options(price))}`. This doesn't match the expected "
        )
        raise StripeError(f"{words}currency: `{currency}`.", param=at)
    kept = {name: found[name] for name in ("tax_behavior", "unit_amount", "unit_amount_decimal")}
    return price | kept | {"currency": currency, "_": price["_"] | {"tiers": found["tiers"]}}


def chosen(prices: list[Json], asked: str | None, customer: Json | None) -> str:
    """Return the currency of a purchase: the one asked for, else the customer's if every price has it, else the
    prices' own.
    """
    if asked:
        return asked.lower()
    known = (customer or {}).get("currency")
    if known and all(known in options(price) for price in prices):
        return str(known)
    return str(prices[0]["currency"])
