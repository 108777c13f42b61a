"""Prices."""

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api import lists
from portal.sandbox.api.errors import StripeError
from portal.sandbox.api.expand import on_request
from portal.sandbox.api.operations import operation
from portal.sandbox.api.wire import join, missing_parameter
from portal.sandbox.domain.pricing import currencies
from portal.sandbox.resources.common import changed, given

Json = dict[str, Any]


@operation("POST", "/v1/prices")
def create(account: Account, params: Json) -> Json:
    return new_price(account, params)


def new_price(account: Account, params: Json) -> Json:
    """Create a price, including inline ones of a line item or product. Raises StripeError."""
    params = given(params)
    transfer = params.pop("transfer_lookup_key", False)
    inline = params.pop("product_data", None)
    if inline:
        defaults = {"active": True, "images": [], "marketing_features": [], "metadata": {}, "type": "service"}
        more = {"updated": account.now()} | given(inline)
        params["product"] = account.add("product", defaults | more, "product.created")["id"]
    if "product" not in params:
        raise missing_parameter("product")
    account.find("product", params["product"], "product")
    meter = (params.get("recurring") or {}).get("meter")
    if meter:
        account.find("billing.meter", meter, "recurring[meter]")
    take_lookup_key(account, params.get("lookup_key"), transfer)
    tiers = steps(params)
    check_scheme(params, tiers)
    others = currency_options(params)
    hidden = {"tiers": tiers, "currency_options": others}
    return account.add("price", fields_of(params) | {"_": hidden}, "price.created")


def currency_options(params: Json) -> dict[str, Json]:
    """Return a price's other currencies, removed from its parameters. Raises StripeError."""
    made = {}
    for currency, asked in (params.pop("currency_options", None) or {}).items():
        at = f"currency_options[{currency}]"
        if currency.lower() == params["currency"].lower():
            words = "`currency_options` cannot contain the default currency of the price."
            raise StripeError(words, param=at)
        made[currency.lower()] = option(params, given(asked or {}), at)
    return made


def option(price: Json, asked: Json, at: str) -> Json:
    """Return a price in one more currency, in the same billing scheme. Raises StripeError."""
    scheme = {name: price[name] for name in ("billing_scheme", "tiers_mode") if price.get(name)}
    tiers = steps(asked)
    check_scheme(scheme, tiers, at)
    found = amounts(scheme | asked, at)
    return {
        "custom_unit_amount": None,
        "tax_behavior": asked.get("tax_behavior", "unspecified"),
        "tiers": tiers,
    } | found


def steps(params: Json) -> list[Json]:
    """Return the tiers of a price in the response's format, removed from its parameters."""
    made = []
    for tier in params.pop("tiers", None) or []:
        one: Json = {"up_to": None if tier["up_to"] == "inf" else int(tier["up_to"])}
        for name in ("unit_amount", "flat_amount"):
            exact = tier.get(f"{name}_decimal", tier.get(name))
            one[f"{name}_decimal"] = None if exact is None else format(Decimal(exact).normalize(), "f")
            one[name] = None if exact is None or Decimal(exact) % 1 else int(Decimal(exact))
        made.append(one)
    return made


def check_scheme(params: Json, tiers: list[Json], at: str = "") -> None:
    """Check that tiers and packages aren't combined, and the last tier has no end. Raises StripeError."""
    if params.get("billing_scheme") != "tiered":
        if tiers or params.get("tiers_mode"):
            words = "`tiers` and `tiers_mode` can only be set for `billing_scheme=tiered`."
            raise StripeError(words, param=join(at, "tiers"))
        return
    if params.get("transform_quantity"):
        words = "`transform_quantity` cannot be combined with tiers."
        raise StripeError(words, param="transform_quantity")
    if not params.get("tiers_mode"):
        raise missing_parameter("tiers_mode")
    ends = [tier["up_to"] for tier in tiers]
    if not ends or ends[-1] is not None or None in ends[:-1] or ends[:-1] != sorted(set(ends[:-1])):
        words = "Tiers must be in order, each with a larger `up_to` than the one before, and the last with `inf`."
        raise StripeError(words, param=join(at, "tiers"))


@on_request("price", "tiers")
def included_tiers(account: Account, price: Json) -> list[Json]:
    tiers: list[Json] = price["_"].get("tiers") or []
    return tiers


@on_request("price", "currency_options")
def included_options(account: Account, price: Json) -> Json:
    return {
        currency: {name: value for name, value in found.items() if value or name != "tiers"}
        for currency, found in currencies.options(price).items()
    }


def fields_of(params: Json) -> Json:
    """Return a price's fields. Raises StripeError for what the sandbox can't sell."""
    recurring = params.get("recurring")
    return (
        {"active": True, "billing_scheme": "per_unit", "metadata": {}, "tax_behavior": "unspecified"}
        | params
        | amounts(params)
        | {
            "currency": params["currency"].lower(),
            "recurring": cycle(recurring) if recurring else None,
            "type": "recurring" if recurring else "one_time",
        }
    )


def amounts(params: Json, at: str = "") -> Json:
    """Return unit_amount and unit_amount_decimal from whichever was given."""
    exact = params.get("unit_amount_decimal", params.get("unit_amount"))
    if params.get("billing_scheme") == "tiered":
        return {"unit_amount": None, "unit_amount_decimal": None}
    if exact is None:
        words = "You must specify either `unit_amount`, `unit_amount_decimal`, or `custom_unit_amount`."
        raise StripeError(words, code="parameter_missing", param=join(at, "unit_amount"))
    amount = Decimal(exact)
    if amount < 0:
        words = "Invalid non-negative integer"
        raise StripeError(words, code="parameter_invalid_integer", param=join(at, "unit_amount"))
    whole = amount == amount.quantize(Decimal(1), ROUND_HALF_UP)
    text = format(amount.normalize(), "f") if not whole else str(int(amount))
    return {"unit_amount": int(amount) if whole else None, "unit_amount_decimal": text}


def cycle(recurring: Json) -> Json:
    """Return how often a price is charged. Raises StripeError for usage without a meter."""
    usage = recurring.get("usage_type") or "licensed"
    if usage == "metered" and not recurring.get("meter"):
        words = "Prices with `usage_type=metered` must be backed by a meter. Please specify `recurring[meter]`."
        raise StripeError(words, param="recurring[meter]")
    return {
        "interval": recurring["interval"],
        "interval_count": recurring.get("interval_count") or 1,
        "meter": recurring.get("meter"),
        "trial_period_days": recurring.get("trial_period_days"),
        "usage_type": usage,
    }


def take_lookup_key(account: Account, key: str | None, transfer: bool | None) -> None:
    """Check that a lookup key is free. Raises StripeError."""
    if not key:
        return
    for other in account.store.select(account.mode, "price", "json_extract(json, '$.lookup_key') = ?", key):
        if not transfer:
            words = f"A price (`{other['id']}`) already uses that lookup key."
            raise StripeError(words, param="lookup_key")
        account.change(other, {"lookup_key": None}, "price.updated")


@operation("GET", "/v1/prices/{price}")
def retrieve(account: Account, params: Json, price: str) -> Json:
    return account.find("price", price)


@operation("POST", "/v1/prices/{price}")
def update(account: Account, params: Json, price: str) -> Json:
    found = account.find("price", price)
    transfer = params.pop("transfer_lookup_key", False)
    others = changed_options(found, params.pop("currency_options", {}))
    if others != found["_"].get("currency_options", {}):
        before = {"currency_options": included_options(account, found)}
        account.change(found, {"_": found["_"] | {"currency_options": others}})
        account.emit("price.updated", found, before)
    if params.get("lookup_key") != found["lookup_key"]:
        take_lookup_key(account, params.get("lookup_key"), transfer)
    return account.change(found, changed(found, params), "price.updated")


def changed_options(price: Json, asked: Json | None) -> dict[str, Json]:
    """Return a price's other currencies after an update: those given are added or replaced, an empty value
    removes all.
    """
    if asked is None:
        return {}
    kept: dict[str, Json] = price["_"].get("currency_options") or {}
    return kept | currency_options(price | {"currency_options": asked})


@operation("GET", "/v1/prices")
def index(account: Account, params: Json) -> Json:
    filters = {
        "$.active": params.get("active"),
        "$.product": params.get("product"),
        "$.type": params.get("type"),
        "$.currency": params.get("currency"),
        "$.recurring.interval": (params.get("recurring") or {}).get("interval"),
        "$.recurring.usage_type": (params.get("recurring") or {}).get("usage_type"),
    }
    return lists.page(account, "price", params, "/v1/prices", filters, {"$.lookup_key": params.get("lookup_keys")})
