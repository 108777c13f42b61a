"""Coupons and promotion codes: who may redeem them, and what they take off."""

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api.errors import StripeError, missing
from portal.sandbox.domain.pricing import periods

Json = dict[str, Any]
UNUSABLE = "This promotion code cannot be redeemed because it is {}."


def redeem(
    account: Account, asked: list[Json], owner: Json, currency: str | None, amount: int | None = None
) -> list[str]:
    """Discounts for what was asked (coupons, promotion codes, or discounts that run); gives their ids.

    owner holds the discount's own fields: customer, subscription, invoice, checkout_session. currency and amount
    (in minor units) are what the discounts are for; None is not known yet. Raises StripeError.
    """
    made = []
    for number, one in enumerate(asked):
        at = f"discounts[{number}]"
        if one.get("discount"):
            made.append(str(account.find("discount", one["discount"], f"{at}[discount]")["id"]))
            continue
        coupon, code = named(account, one, at)
        require_currency(coupon, currency, at)
        if code:
            require_fit(account, code, account.get(owner.get("customer")), amount)
        made.append(_redeem(account, coupon, code, owner))
    return made


def require_currency(coupon: Json, currency: str | None, at: str) -> None:
    """Raises StripeError for a coupon that takes off an amount in another currency."""
    if coupon["amount_off"] and currency and currency not in amounts_off(coupon):
        words = f"The coupon `{coupon['id']}` takes off {coupon['currency']} and cannot be used with {currency}."
        raise StripeError(words, param=f"{at}[coupon]")


def amounts_off(coupon: Json) -> dict[str, int]:
    """What a coupon of a fixed amount takes off, by currency."""
    others = {name: one["amount_off"] for name, one in (coupon["_"].get("currency_options") or {}).items()}
    return {coupon["currency"]: coupon["amount_off"]} | others


def _redeem(account: Account, coupon: Json, code: Json | None, owner: Json) -> str:
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
    return str(account.add("discount", fields | owner, event)["id"])


def count(account: Account, value: Json) -> None:
    """A coupon or code is used once more, and is used up when it has a limit."""
    times = value["times_redeemed"] + 1
    used_up = value["max_redemptions"] is not None and times >= value["max_redemptions"]
    switch = {"coupon": "valid", "promotion_code": "active"}[value["object"]]
    account.change(value, {"times_redeemed": times, switch: value[switch] and not used_up})


def named(account: Account, asked: Json, at: str) -> tuple[Json, Json | None]:
    """The coupon, and the promotion code if one was given. Raises StripeError for one that can't be used."""
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
    """Raises StripeError for a promotion code that was switched off, is used up or is too old."""
    if code["expires_at"] is not None and code["expires_at"] <= account.now():
        raise StripeError(UNUSABLE.format("expired"), code="promotion_code_expired", param="promotion_code")
    if not code["active"]:
        raise StripeError(UNUSABLE.format("inactive"), code="promotion_code_inactive", param="promotion_code")


def typed(account: Account, text: str) -> Json | None:
    """The active promotion code that a buyer typed, in whatever case."""
    same = "lower(json_extract(json, '$.code')) = ? AND json_extract(json, '$.active')"
    return next(iter(account.store.select(account.mode, "promotion_code", same, text.strip().lower())), None)


def require_fit(account: Account, code: Json, customer: Json | None, amount: int | None) -> None:
    """Raises StripeError where a code is meant for somebody else, for newcomers, or for larger purchases."""
    rules = code["restrictions"]
    owner = customer["id"] if customer else None
    if code["customer"] not in (None, owner):
        raise StripeError(UNUSABLE.format("for another customer"), param="promotion_code")
    if rules["minimum_amount"] and amount is not None and amount < rules["minimum_amount"]:
        raise StripeError(UNUSABLE.format("for larger purchases"), param="promotion_code")
    paid = "json_extract(json, '$.customer') = ? AND json_extract(json, '$.status') = 'succeeded'"
    if rules["first_time_transaction"] and account.store.select(account.mode, "charge", paid, owner, limit=1):
        raise StripeError(UNUSABLE.format("for new customers"), param="promotion_code")


def running(account: Account, ids: list[str]) -> list[Json]:
    """The discounts of these ids that hold now."""
    found = [account.find("discount", id_) for id_ in ids]
    return [one for one in found if one["end"] is None or one["end"] > account.now()]


def taken(
    account: Account, coupons: list[Json], amounts: list[tuple[int, str | None]], currency: str
) -> list[list[int]]:
    """What each coupon, one after the other, takes off each amount (minor units, with its product)."""
    left = [amount for amount, _ in amounts]
    table = []
    for coupon in coupons:
        products = coupon["_"].get("products")
        fits = [a > 0 and (not products or p in products) for a, (_, p) in zip(left, amounts, strict=True)]
        off = spread(coupon, currency, [a if fit else 0 for a, fit in zip(left, fits, strict=True)])
        left = [amount - part for amount, part in zip(left, off, strict=True)]
        table.append(off)
    return table


def spread(coupon: Json, currency: str, amounts: list[int]) -> list[int]:
    """One coupon's share of each amount; a fixed sum is divided in proportion, to the last cent."""
    if coupon["percent_off"] is not None:
        rate = Decimal(str(coupon["percent_off"])) / 100
        return [half_up(amount * rate) for amount in amounts]
    total = sum(amounts)
    rest = min(amounts_off(coupon).get(currency, 0), total)
    shares = []
    for amount in amounts:
        share = half_up(Decimal(rest) * amount / total) if total else 0
        shares.append(share)
        rest, total = rest - share, total - amount
    return shares


def half_up(exact: Decimal) -> int:
    """Whole minor units."""
    return int(exact.quantize(Decimal(1), ROUND_HALF_UP))


def on_invoice(account: Account, invoice: Json) -> int:
    """Write an invoice's discounts into its lines, and give their sum."""
    discounts = [account.find("discount", id_) for id_ in invoice["discounts"]]
    coupons = [account.find("coupon", one["source"]["coupon"]) for one in discounts]
    lines = invoice["lines"]["data"]
    amounts = [(line["amount"] if line["discountable"] else 0, product_of(line)) for line in lines]
    table = taken(account, coupons, amounts, invoice["currency"])
    for place, line in enumerate(lines):
        parts = [(one["id"], off[place]) for one, off in zip(discounts, table, strict=True)]
        line["discount_amounts"] = [{"amount": amount, "discount": id_} for id_, amount in parts if amount]
    sums = [{"amount": sum(off), "discount": one["id"]} for one, off in zip(discounts, table, strict=True)]
    invoice["total_discount_amounts"] = sums
    return sum(one["amount"] for one in sums)


def product_of(line: Json) -> str | None:
    """The product that a line bills, if it has a price."""
    details = (line["pricing"] or {}).get("price_details") or {}
    product: str | None = details.get("product")
    return product


def net(account: Account, subscription: Json, item: Json, amount: int) -> int:
    """What a full period of an item costs with the discounts that hold now."""
    discounts = running(account, subscription["discounts"])
    coupons = [account.find("coupon", one["source"]["coupon"]) for one in discounts]
    table = taken(account, coupons, [(amount, item["price"]["product"])], subscription["currency"])
    return amount - sum(off[0] for off in table)


def used(account: Account, subscription: Json) -> None:
    """After a bill: discounts that were for one bill, or whose months are over, leave the subscription."""
    kept = [one["id"] for one in running(account, subscription["discounts"]) if not _is_once(account, one)]
    for id_ in subscription["discounts"]:
        if id_ not in kept:
            account.emit("customer.discount.deleted", account.find("discount", id_))
    subscription["discounts"] = kept


def _is_once(account: Account, discount: Json) -> bool:
    return bool(account.find("coupon", discount["source"]["coupon"])["duration"] == "once")
