"""What a checkout's lines come to, with a trial and with promotion codes."""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api.errors import StripeError
from portal.sandbox.domain.pricing import amounts, discounts

Json = dict[str, Any]
INVALID = "This code is invalid."


def line_items(account: Account, session: Json) -> list[Json]:
    """The line items of a session, or of a payment link, with their prices as they are now."""
    prices = [account.find("price", line["price"]) for line in session["_"]["line_items"]]
    kept = list(zip(session["_"]["line_items"], prices, strict=True))
    trial = has_trial(session)
    full = [
        0 if trial and price["recurring"] else amounts.amount_of(price, line["quantity"]) for line, price in kept
    ]
    coupons = [account.find("coupon", one["coupon"]) for one in session.get("discounts") or []]
    table = discounts.taken(
        account, coupons, [(a, p["product"]) for a, p in zip(full, prices, strict=True)], session["currency"]
    )
    off = [sum(parts) for parts in zip(*table, strict=True)] if table else [0] * len(full)
    return [_item(account, *line, *sums) for line, *sums in zip(kept, full, off, strict=True)]


def _item(account: Account, line: Json, price: Json, full: int, off: int) -> Json:
    fields = {
        "id": line["id"],
        "amount_discount": off,
        "amount_subtotal": full,
        "amount_total": full - off,
        "currency": price["currency"],
        "description": account.find("product", price["product"])["name"],
        "price": price,
        "quantity": line["quantity"],
    }
    return {name: v for name, v in account.build("item", fields).items() if v is not None}


def currency_of(account: Account, lines: list[Json]) -> str:
    """The one currency of all lines. Raises StripeError."""
    currencies = {account.find("price", line["price"], "line_items[0][price]")["currency"] for line in lines}
    if len(currencies) > 1:
        raise StripeError("All line items must have the same currency.", param="line_items")
    return str(currencies.pop())


def has_trial(session: Json) -> bool:
    """Whether nothing of what recurs is charged today."""
    data = session["_"].get("subscription_data") or {}
    return bool(data.get("trial_period_days") or data.get("trial_end"))


def reckon(account: Account, session: Json) -> Json:
    """Write the totals into a session."""
    items = line_items(account, session)
    if not items:
        return session
    full, due = (sum(item[name] for item in items) for name in ("amount_subtotal", "amount_total"))
    session["amount_subtotal"], session["amount_total"] = full, due
    session["total_details"] = {"amount_discount": full - due, "amount_shipping": 0, "amount_tax": 0}
    return session


def needs_card(session: Json) -> bool:
    """Whether the buyer must give a card: not where nothing is due and the seller doesn't ask for one."""
    if session["mode"] == "setup" or session["amount_total"]:
        return True
    return bool(session["mode"] == "subscription" and session["payment_method_collection"] == "always")


def apply_code(account: Account, session: Json, text: str) -> Json:
    """Use the promotion code that a buyer typed. Raises StripeError in the page's words."""
    code = discounts.typed(account, text)
    if code is None or not session["allow_promotion_codes"]:
        raise StripeError(INVALID, param="promotion_code")
    asked = discounts.named(account, {"promotion_code": code["id"]}, "discounts[0]")[0]
    if asked["currency"] not in (None, session["currency"]):
        raise StripeError(INVALID, param="promotion_code")
    customer = account.get(session["customer"])
    discounts.require_fit(account, code, customer, session["amount_subtotal"] or 0)
    session["discounts"] = [{"coupon": asked["id"], "promotion_code": code["id"]}]
    return account.save(reckon(account, session))


def remove_code(account: Account, session: Json) -> Json:
    """The buyer doesn't want the code any more."""
    if session["allow_promotion_codes"]:
        session["discounts"] = []
    return account.save(reckon(account, session))


def asked_discounts(session: Json) -> list[Json]:
    """A session's discounts as parameters: a code counts as itself, not as its coupon."""
    return [
        {"promotion_code": one["promotion_code"]} if one["promotion_code"] else {"coupon": one["coupon"]}
        for one in session["discounts"] or []
    ]
