"""Coupons and promotion codes: who can redeem them, and the discounts that they become."""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api.errors import StripeError, missing
from portal.sandbox.domain.pricing import discount_amounts, periods

Json = dict[str, Any]
UNUSABLE = "This promotion code cannot be redeemed because it is {}."
ENDED = "customer.discount.deleted"


def redeem(
    account: Account,
    asked: list[Json],
    owner: Json,
    currency: str | None,
    amount: int | None = None,
    at: str = "discounts",
) -> list[str]:
    """Create discounts for coupons, promotion codes, or existing discounts, and return their ids.

    owner has the discount's own fields: customer, subscription, invoice, checkout_session. currency and amount (in
    minor units) are what the discounts apply to; None is not known yet. Raises StripeError.
    """
    made = []
    for number, one in enumerate(asked):
        here = f"{at}[{number}]"
        if one.get("discount"):
            made.append(existing(account, one["discount"], owner, f"{here}[discount]"))
            continue
        coupon, code = named(account, one, here)
        require_currency(coupon, currency, here)
        if code:
            require_fit(account, code, account.get(owner.get("customer")), amount, currency)
        made.append(_redeem(account, coupon, code, owner)["id"])
    return made


def existing(account: Account, id_: str, owner: Json, at: str) -> str:
    """Return the id of a discount on the object or one of its ancestors. Raises StripeError."""
    found = account.find("discount", id_, at)
    if found["customer"] != owner.get("customer"):
        raise missing("discount", id_, at)
    return str(found["id"])


def require_currency(coupon: Json, currency: str | None, at: str) -> None:
    """Raise StripeError for a coupon with a fixed amount in another currency."""
    if coupon["amount_off"] and currency and currency not in discount_amounts.amounts_off(coupon):
        words = f"The coupon `{coupon['id']}` takes off {coupon['currency']} and cannot be used with {currency}."
        raise StripeError(words, param=f"{at}[coupon]")


def _redeem(account: Account, coupon: Json, code: Json | None, owner: Json) -> Json:
    start = account.now()
    months = coupon["duration_in_months"] if coupon["duration"] == "repeating" else None
    fields = {
        "end": periods.boundary(start, {"interval": "month", "interval_count": 1}, months) if months else None,
        "promotion_code": code["id"] if code else None,
        "source": {"coupon": coupon["id"], "type": "coupon"},
        "start": start,
    }
    count(account, coupon)
    if code:
        count(account, code)
    event = "customer.discount.created" if owner.get("subscription") else None
    made = account.add("discount", fields | owner, event)
    if made["end"]:
        account.at(made["end"], "end_discount", made["id"])
    return made


def count(account: Account, value: Json) -> None:
    """Count a redemption of a coupon or code, which is used up when it reaches its limit."""
    times = value["times_redeemed"] + 1
    used_up = value["max_redemptions"] is not None and times >= value["max_redemptions"]
    switch = {"coupon": "valid", "promotion_code": "active"}[value["object"]]
    account.change(value, {"times_redeemed": times, switch: value[switch] and not used_up})


def named(account: Account, asked: Json, at: str) -> tuple[Json, Json | None]:
    """Return the coupon, and the promotion code if one was given. Raises StripeError for one that can't be
    used.
    """
    code = None
    if asked.get("promotion_code"):
        code = account.find("promotion_code", asked["promotion_code"], f"{at}[promotion_code]")
        require_active(account, code)
    id_ = code["promotion"]["coupon"] if code else asked.get("coupon")
    coupon = account.get(id_)
    if coupon is None or coupon["object"] != "coupon":
        raise missing("coupon", str(id_), f"{at}[coupon]")
    expired = coupon["redeem_by"] is not None and coupon["redeem_by"] <= account.now()
    if expired or not coupon["valid"]:
        raise StripeError(f"Coupon expired: {coupon['id']}", code="coupon_expired", param=f"{at}[coupon]")
    return coupon, code


def require_active(account: Account, code: Json) -> None:
    """Raise StripeError for a promotion code that was deactivated, is used up or has expired."""
    if code["expires_at"] is not None and code["expires_at"] <= account.now():
        raise StripeError(UNUSABLE.format("expired"), code="promotion_code_expired", param="promotion_code")
    if not code["active"]:
        raise StripeError(UNUSABLE.format("inactive"), code="promotion_code_inactive", param="promotion_code")


def typed(account: Account, text: str) -> Json | None:
    """Return the active promotion code that a buyer entered, ignoring case."""
    same = "lower(json_extract(json, '$.code')) = ? AND json_extract(json, '$.active')"
    return next(iter(account.store.select(account.mode, "promotion_code", same, text.strip().lower())), None)


def require_fit(
    account: Account, code: Json, customer: Json | None, amount: int | None, currency: str | None
) -> None:
    """Raise StripeError if a code is for someone else, for new customers, for larger purchases, or for other
    currencies.
    """
    rules = code["restrictions"]
    owner = customer["id"] if customer else None
    if code["customer"] not in (None, owner):
        raise StripeError(UNUSABLE.format("for another customer"), param="promotion_code")
    if rules["minimum_amount"] and amount is not None:
        least = smallest_purchases(rules).get(currency or "")
        if least is None or amount < least:
            words = "for other currencies" if least is None else "for larger purchases"
            raise StripeError(UNUSABLE.format(words), param="promotion_code")
    paid = "json_extract(json, '$.customer') = ? AND json_extract(json, '$.status') = 'succeeded'"
    if rules["first_time_transaction"] and account.store.select(account.mode, "charge", paid, owner, limit=1):
        raise StripeError(UNUSABLE.format("for new customers"), param="promotion_code")


def smallest_purchases(rules: Json) -> dict[str, int]:
    """Return the minimum amounts of a promotion code, by currency."""
    others = {name: one["minimum_amount"] for name, one in (rules.get("currency_options") or {}).items()}
    return {rules["minimum_amount_currency"]: rules["minimum_amount"]} | others


def running(account: Account, ids: list[str]) -> list[str]:
    """Return the ids of those discounts that have not ended."""
    found = [account.find("discount", id_) for id_ in ids]
    return [one["id"] for one in found if one["end"] is None or one["end"] > account.now()]


def of_customer(account: Account, customer: Json) -> list[str]:
    """Return the id of a customer's own discount, as a list."""
    return running(account, [customer["discount"]["id"]] if customer["discount"] else [])


def of_subscription(account: Account, subscription: Json) -> list[str]:
    """Return the ids of the discounts that count for a subscription: its own, else its customer's, unless a
    schedule's phase has none.
    """
    own = running(account, subscription["discounts"])
    if own or subscription["_"].get("bare"):
        return own
    return of_customer(account, account.find("customer", subscription["customer"]))


def give(account: Account, customer: Json, asked: Json) -> None:
    """Give a customer a discount of their own, in place of another. Raises StripeError."""
    before, at = customer["discount"], "coupon" if asked.get("coupon") else "promotion_code"
    coupon, code = named(account, asked, at)
    require_currency(coupon, customer["currency"], at)
    if code:
        require_fit(account, code, customer, None, customer["currency"])
    made = _redeem(account, coupon, code, {"customer": customer["id"]})
    account.change(customer, {"discount": made}, "customer.updated")
    if before:
        account.emit("customer.discount.updated", made, {name: before[name] for name in ("id", "source", "start")})
    else:
        account.emit("customer.discount.created", made)


def take(account: Account, discount: Json, quiet: bool = False) -> Json:
    """Remove a discount from its subscription, its item or its customer, and return it as deleted.

    quiet: a bill used it up, so that its owner has no event.
    """
    owner = account.get(discount["subscription"] or discount["customer"])
    if owner and owner["object"] == "customer" and discount["id"] in owned(owner):
        account.change(owner, {"discount": None}, None if quiet else "customer.updated")
    if owner and owner["object"] == "subscription":
        event = None if quiet else "customer.subscription.updated"
        account.change(owner, without(owner, discount["id"]), event)
    account.emit(ENDED, discount)
    names = ("checkout_session", "customer", "customer_account", "id", "invoice", "invoice_item", "object")
    more = ("promotion_code", "source", "start", "subscription", "subscription_item")
    return {name: discount.get(name) for name in (*names, *more)} | {"deleted": True}


def without(subscription: Json, id_: str) -> Json:
    """Return a subscription's fields without one of its discounts."""
    items = [
        item | {"discounts": [one for one in item["discounts"] if one != id_]}
        for item in subscription["items"]["data"]
    ]
    kept = [one for one in subscription["discounts"] if one != id_]
    return {"discounts": kept, "items": subscription["items"] | {"data": items}}


def end(account: Account, discount: Json) -> None:
    """End a discount whose months have passed, if something still has it."""
    owner = account.get(discount["subscription"] or discount["customer"])
    if owner and discount["id"] in owned(owner):
        take(account, discount)


def owned(owner: Json) -> list[str]:
    """Return the ids of the discounts on a customer, or on a subscription and its items."""
    if owner["object"] == "customer":
        return [owner["discount"]["id"]] if owner["discount"] else []
    return [*owner["discounts"], *(id_ for item in owner["items"]["data"] for id_ in item["discounts"])]


def used(account: Account, ids: list[str]) -> None:
    """Remove those discounts that were for one bill, after that bill."""
    for id_ in ids:
        discount = account.find("discount", id_)
        once = account.find("coupon", discount["source"]["coupon"])["duration"] == "once"
        owner = account.get(discount["subscription"] or discount["customer"])
        if once and owner and id_ in owned(owner):
            take(account, discount, quiet=True)
