"""Invoice lines: what a quantity of a price costs, and how it reads."""

import datetime as dt
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api.errors import StripeError
from portal.sandbox.domain.pricing import tiers

Json = dict[str, Any]
ZERO_DECIMAL = frozenset(
    [
        "bif",
        "clp",
        "djf",
        "gnf",
        "jpy",
        "kmf",
        "krw",
        "mga",
        "pyg",
        "rwf",
        "ugx",
        "vnd",
        "vuv",
        "xaf",
        "xof",
        "xpf",
    ]
)


# The smallest charges, in minor units: https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts
SMALLEST = {"usd": 50, "aed": 200, "aud": 50, "bgn": 100, "brl": 50, "cad": 50, "chf": 50, "czk": 1500, "dkk": 250}
SMALLEST |= {"eur": 50, "gbp": 30, "hkd": 400, "huf": 17500, "inr": 50, "jpy": 50, "mxn": 1000, "myr": 200}
SMALLEST |= {"nok": 300, "nzd": 50, "pln": 200, "ron": 200, "sek": 300, "sgd": 50, "thb": 1000}


def require_minimum(amount: int, currency: str) -> None:
    """Raises StripeError for a charge that is smaller than Stripe takes in its currency."""
    least = SMALLEST.get(currency.lower(), 0)
    if amount < least:
        words = f"Amount must be at least {money(least, currency.lower())} {currency.lower()}"
        raise StripeError(words, code="amount_too_small", param="amount")


def line(account: Account, price: Json, quantity: int | Decimal, period: Json, fields: Json) -> Json:
    """A line for so many of a price; fields may replace its amount, description and parent."""
    amount = fields.get("amount", amount_of(price, quantity))
    defaults = {
        "amount": amount,
        "currency": price["currency"],
        "description": fields.get("description") or describe(account, price, quantity),
        "discount_amounts": [],
        "discountable": True,
        "metadata": {},
        "period": period,
        "pretax_credit_amounts": [],
        "pricing": named(price),
        "quantity": quantity,
        "quantity_decimal": str(quantity),
        "subtotal": amount,
        "taxes": [],
    }
    return account.build("line_item", defaults | fields)


def named(price: Json) -> Json:
    """How a line names its price."""
    named = {"price": price["id"], "product": price["product"]}
    return {"type": "price_details", "price_details": named, "unit_amount_decimal": price["unit_amount_decimal"]}


def amount_of(price: Json, quantity: int | Decimal) -> int:
    """Minor units, rounded once, half up."""
    return int(tiers.exact(price, quantity).quantize(Decimal(1), ROUND_HALF_UP))


def describe(account: Account, price: Json, quantity: int | Decimal) -> str:
    """The words of a line, like Stripe's: 1 × Pro (at $49.99 / month)."""
    product = account.get(price["product"])
    name = product["name"] if product else price["product"]
    if not price["recurring"]:
        return str(name)
    if price["billing_scheme"] == "tiered":
        return f"{quantity} × {name}"
    each = f"{money(price['unit_amount'] or 0, price['currency'])} / {price['recurring']['interval']}"
    return f"{quantity} × {name} (at {each})"


def counted(account: Account, item: Json) -> str:
    """A subscription item in words: Pro, or 2 × Pro."""
    product = account.get(item["price"]["product"]) or {}
    name, quantity = product.get("name", ""), item.get("quantity", 1)
    return f"{quantity} × {name}" if quantity > 1 else name


def day(moment: int) -> str:
    """A date in words, such as 1 Jan 2027, in UTC."""
    return f"{dt.datetime.fromtimestamp(moment, dt.UTC):%d %b %Y}".lstrip("0")


def money(amount: int, currency: str) -> str:
    """An amount as a person writes it."""
    sign = {"usd": "$", "eur": "€", "gbp": "£"}.get(currency, currency.upper() + " ")
    digits = f"{abs(amount):,}" if currency in ZERO_DECIMAL else f"{abs(amount) // 100:,}.{abs(amount) % 100:02d}"
    return f"{'-' if amount < 0 else ''}{sign}{digits}"
