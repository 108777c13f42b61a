"""Coupons and promotion codes."""

import secrets
from typing import Any

from portal.sandbox.account import ALPHABET, Account
from portal.sandbox.api import lists
from portal.sandbox.api.errors import StripeError
from portal.sandbox.api.expand import on_request
from portal.sandbox.api.operations import operation
from portal.sandbox.api.wire import missing_parameter
from portal.sandbox.domain.pricing import discount_amounts
from portal.sandbox.resources.common import changed, given, require_future

Json = dict[str, Any]
DRAW = "".join(sorted(set(ALPHABET.upper()) - set("0O1I")))  # without characters that people misread


@operation("POST", "/v1/coupons")
def create(account: Account, params: Json) -> Json:
    params = given(params)
    check(params)
    require_future(account, params, "redeem_by")
    id_ = params.pop("id", None) or drawn()
    if account.store.mode_of(id_):
        raise StripeError("Coupon already exists.", code="resource_already_exists", param="id")
    products = (params.pop("applies_to", None) or {}).get("products")
    for product in products or []:
        account.find("product", product, "applies_to[products]")
    others = params.pop("currency_options", None)
    if "percent_off" in params:
        params["percent_off"] = float(params["percent_off"])
    defaults = {
        "duration": "once",
        "metadata": {},
        "valid": True,
        "_": {"products": products, "currency_options": others},
    }
    return account.add("coupon", defaults | params | {"id": id_}, "coupon.created")


def check(params: Json) -> None:
    """Raise StripeError for a coupon with no discount, or too much."""
    if ("percent_off" in params) == ("amount_off" in params):
        raise missing_parameter("percent_off")
    if "percent_off" in params and not 0 < float(params["percent_off"]) <= 100:
        words = "Invalid percent_off: must be greater than 0 and at most 100."
        raise StripeError(words, param="percent_off")
    if "amount_off" in params and "currency" not in params:
        raise missing_parameter("currency")
    if "amount_off" in params and params.get("duration") == "forever":  # since 2025-03-31
        words = "A coupon with `amount_off` cannot have the duration `forever`: use `once` or `repeating`."
        raise StripeError(words, param="duration")
    if params.get("duration") == "repeating" and not params.get("duration_in_months"):
        raise missing_parameter("duration_in_months")


def drawn() -> str:
    """Return a random code."""
    return "".join(secrets.choice(DRAW) for _ in range(8))


@operation("GET", "/v1/coupons/{coupon}")
def retrieve(account: Account, params: Json, coupon: str) -> Json:
    return account.find("coupon", coupon)


@operation("POST", "/v1/coupons/{coupon}")
def update(account: Account, params: Json, coupon: str) -> Json:
    found = account.find("coupon", coupon)
    wanted: Json = {name: params[name] for name in ("metadata", "name") if name in params}
    if params.get("currency_options"):
        if not found["amount_off"]:
            words = "`currency_options` can only be set for coupons with `amount_off`."
            raise StripeError(words, param="currency_options")
        before = {"currency_options": currency_options(account, found)}
        others = (found["_"].get("currency_options") or {}) | params["currency_options"]
        account.change(found, {"_": found["_"] | {"currency_options": others}})
        account.emit("coupon.updated", found, before)
    return account.change(found, changed(found, wanted), "coupon.updated")


@operation("DELETE", "/v1/coupons/{coupon}")
def delete(account: Account, params: Json, coupon: str) -> Json:
    """Delete a coupon, which can no longer be redeemed; existing discounts keep it."""
    found = account.change(account.find("coupon", coupon), {"valid": False})
    account.emit("coupon.deleted", found)
    return {"id": coupon, "object": "coupon", "deleted": True}


@operation("GET", "/v1/coupons")
def index(account: Account, params: Json) -> Json:
    return lists.page(account, "coupon", params, "/v1/coupons", only="json_extract(json, '$.valid')")


@on_request("coupon", "applies_to")
def applies_to(account: Account, coupon: Json) -> Json:
    return {"products": coupon["_"].get("products") or []}


@on_request("coupon", "currency_options")
def currency_options(account: Account, coupon: Json) -> Json:
    if coupon["amount_off"] is None:
        return {}
    return {name: {"amount_off": off} for name, off in discount_amounts.amounts_off(coupon).items()}


@operation("POST", "/v1/promotion_codes")
def create_code(account: Account, params: Json) -> Json:
    params = given(params)
    require_future(account, params, "expires_at")
    promotion = params.pop("promotion")
    account.find("coupon", promotion.get("coupon") or "", "promotion[coupon]")
    if params.get("customer"):
        account.find("customer", params["customer"], "customer")
    code = params.get("code") or drawn()
    taken = "json_extract(json, '$.active') AND lower(json_extract(json, '$.code')) = ?"
    if account.store.select(account.mode, "promotion_code", taken, code.lower(), limit=1):
        raise StripeError(f"An active promotion code with `code: {code}` already exists.", param="code")
    rules = {"first_time_transaction": False, "minimum_amount": None, "minimum_amount_currency": None}
    fields = {"active": True, "metadata": {}} | params | {"code": code, "promotion": promotion}
    fields["restrictions"] = rules | given(params.get("restrictions", {}))
    return account.add("promotion_code", fields, "promotion_code.created")


@operation("GET", "/v1/promotion_codes/{promotion_code}")
def retrieve_code(account: Account, params: Json, promotion_code: str) -> Json:
    return account.find("promotion_code", promotion_code)


@operation("POST", "/v1/promotion_codes/{promotion_code}")
def update_code(account: Account, params: Json, promotion_code: str) -> Json:
    found = account.find("promotion_code", promotion_code)
    wanted: Json = {name: params[name] for name in ("active", "metadata") if name in params}
    return account.change(found, changed(found, wanted), "promotion_code.updated")


@operation("GET", "/v1/promotion_codes")
def index_codes(account: Account, params: Json) -> Json:
    filters = {f"$.{name}": params.get(name) for name in ("active", "code", "customer")}
    filters["$.promotion.coupon"] = params.get("coupon")
    return lists.page(account, "promotion_code", params, "/v1/promotion_codes", filters)
