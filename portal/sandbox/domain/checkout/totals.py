"""The totals of a checkout's lines, with a trial and with promotion codes."""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api.errors import StripeError
from portal.sandbox.domain.pricing import amounts, currencies, discount_amounts, discounts, tax_rates

Json = dict[str, Any]
INVALID = "This code is invalid."


def line_items(account: Account, session: Json) -> list[Json]:
    """Return the line items of a session or payment link, with their current prices in its currency."""
    found = (account.find("price", line["price"]) for line in session["_"]["line_items"])
    prices = [currencies.within(price, session["currency"], "currency") for price in found]
    kept = list(zip(session["_"]["line_items"], prices, strict=True))
    trial = has_trial(session)
    full = [
        0 if trial and price["recurring"] else amounts.amount_of(price, line["quantity"]) for line, price in kept
    ]
    amounts_of = [(a, p["product"]) for a, p in zip(full, prices, strict=True)]
    table = discount_amounts.taken(coupons_of(account, session), amounts_of, session["currency"])
    off = [sum(parts) for parts in zip(*table, strict=True)] if table else [0] * len(full)
    taxes = [taxes_on(account, session, line, a - o) for (line, _), a, o in zip(kept, full, off, strict=True)]
    rows = zip(kept, full, off, taxes, strict=True)
    return [_item(account, line, price, a, o, tax) for (line, price), a, o, tax in rows]


def coupons_of(account: Account, session: Json) -> list[Json]:
    """Return the coupons of a session: its own, else those of the customer who subscribes."""
    own = [account.find("coupon", one["coupon"]) for one in session.get("discounts") or []]
    customer = account.get(session.get("customer"))
    if own or customer is None or session["mode"] != "subscription":
        return own
    return discount_amounts.coupons_of(account, discounts.of_customer(account, customer))


def taxes_on(account: Account, session: Json, line: Json, amount: int) -> list[Json]:
    """Return the taxes of a line: by its own rates, else those of the future subscription."""
    data = session["_"].get("subscription_data") or {}
    rates = line.get("tax_rates") or data.get("default_tax_rates") or []
    customer = account.get(session.get("customer")) or {}
    return tax_rates.taxes(rates, amount, customer.get("tax_exempt"))


def taxes_of(account: Account, line: str) -> list[Json]:
    """Return the taxes of the line item with this id, as Checkout shows them: each with its rate."""
    has = "EXISTS (SELECT 1 FROM json_each(objects.json, '$._.line_items') WHERE json_extract(value, '$.id') = ?)"
    session = account.store.select(account.mode, "checkout.session", has, line)[0]
    item = next(one for one in line_items(account, session) if one["id"] == line)
    return [
        {
            "amount": one["amount"],
            "rate": account.find(tax_rates.KIND, one["tax_rate_details"]["tax_rate"]),
            "taxability_reason": None,
            "taxable_amount": one["taxable_amount"],
        }
        for one in item["_"]["taxes"]
    ]


def _item(account: Account, line: Json, price: Json, full: int, off: int, taxes: list[Json]) -> Json:
    fields = {
        "id": line["id"],
        "_": {"taxes": taxes},
        "adjustable_quantity": line.get("adjustable_quantity"),
        "amount_discount": off,
        "amount_subtotal": full,
        "amount_tax": sum(one["amount"] for one in taxes),
        "amount_total": full - off + tax_rates.added(taxes),
        "currency": price["currency"],
        "description": account.find("product", price["product"])["name"],
        "price": account.find("price", price["id"]),
        "quantity": line["quantity"],
    }
    return {name: v for name, v in account.build("item", fields).items() if v is not None}


def currency_of(account: Account, lines: list[Json], asked: str | None, customer: Json | None = None) -> str:
    """Return the one currency of all lines: the one asked for, else the customer's, else their own. Raises
    StripeError.
    """
    prices = [account.find("price", line["price"], "line_items[0][price]") for line in lines]
    currency = currencies.chosen(prices, asked, customer)
    for price in prices:
        if currency not in currencies.options(price):
            if asked:
                currencies.within(price, currency, "currency")
            raise StripeError("All line items must have the same currency.", param="line_items")
    return currency


def has_trial(session: Json) -> bool:
    """Return whether no recurring price is charged today."""
    data = session["_"].get("subscription_data") or {}
    return bool(data.get("trial_period_days") or data.get("trial_end"))


def compute(account: Account, session: Json) -> Json:
    """Write the totals into a session."""
    items = line_items(account, session)
    if not items:
        return session
    names = ("amount_subtotal", "amount_total", "amount_discount", "amount_tax")
    full, due, off, tax = (sum(item[name] for item in items) for name in names)
    session["amount_subtotal"], session["amount_total"] = full, due
    session["total_details"] = {"amount_discount": off, "amount_shipping": 0, "amount_tax": tax}
    return session


def needs_card(session: Json) -> bool:
    """Return whether the buyer must enter a card: not if nothing is due and the seller doesn't require one."""
    if session["mode"] == "setup" or session["amount_total"]:
        return True
    return bool(session["mode"] == "subscription" and session["payment_method_collection"] == "always")


def apply_code(account: Account, session: Json, text: str) -> Json:
    """Apply the promotion code that a buyer entered. Raises StripeError with the page's message."""
    code = discounts.typed(account, text)
    if code is None or not session["allow_promotion_codes"]:
        raise StripeError(INVALID, param="promotion_code")
    asked = discounts.named(account, {"promotion_code": code["id"]}, "discounts[0]")[0]
    if asked["amount_off"] and session["currency"] not in discount_amounts.amounts_off(asked):
        raise StripeError(INVALID, param="promotion_code")
    customer = account.get(session["customer"])
    discounts.require_fit(account, code, customer, session["amount_subtotal"] or 0, session["currency"])
    session["discounts"] = [{"coupon": asked["id"], "promotion_code": code["id"]}]
    return account.save(compute(account, session))


def remove_code(account: Account, session: Json) -> Json:
    """Remove the promotion code."""
    if session["allow_promotion_codes"]:
        session["discounts"] = []
    return account.save(compute(account, session))


def asked_discounts(session: Json) -> list[Json]:
    """Return a session's discounts as parameters: a code counts as itself, not as its coupon."""
    return [
        {"promotion_code": one["promotion_code"]} if one["promotion_code"] else {"coupon": one["coupon"]}
        for one in session["discounts"] or []
    ]
