"""Invoice lines: the cost of a quantity of a price, and its description."""

import datetime as dt
from decimal import Decimal
from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api.checks import THREE_DECIMAL
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
    """Raise StripeError for a charge below Stripe's minimum in its currency."""
    least = SMALLEST.get(currency.lower(), 0)
    if amount < least:
        words = f"Amount must be at least {money(least, currency.lower())} {currency.lower()}"
        raise StripeError(words, code="amount_too_small", param="amount")


def lines(account: Account, price: Json, quantity: int | Decimal, period: Json, fields: Json) -> list[Json]:
    """Return the lines for a quantity of a price: one, or one for each tier that a graduated price reaches."""
    parts = [] if "amount" in fields else tiers.parts(price, quantity)
    if not parts:
        return [line(account, price, quantity, period, fields)]
    return [line(account, price, part.units, period, fields | in_tier(account, price, part)) for part in parts]


def in_tier(account: Account, price: Json, part: tiers.Part) -> Json:
    """Return the fields of the line for one tier, like Stripe's: 5 × Pro (Tier 1 at $7.00 / month)."""
    each = f"{money(part.tier['unit_amount'] or 0, price['currency'])} / {price['recurring']['interval']}"
    product = account.find("product", price["product"])
    return {
        "amount": part.amount,
        "description": f"{part.units:f} × {product['name']} (Tier {part.number} at {each})",
        "pricing": named(price) | {"unit_amount_decimal": part.tier["unit_amount_decimal"]},
        "quantity": int(part.units),
        "quantity_decimal": format(part.units, "f"),
    }


def line(account: Account, price: Json, quantity: int | Decimal, period: Json, fields: Json) -> Json:
    """Return a line for a quantity of a price; fields can replace its amount, description and parent."""
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
        "_": {},
    }
    return account.build("line_item", defaults | fields)


def named(price: Json) -> Json:
    """Return how a line names its price."""
    named = {"price": price["id"], "product": price["product"]}
    return {"type": "price_details", "price_details": named, "unit_amount_decimal": price["unit_amount_decimal"]}


def amount_of(price: Json, quantity: int | Decimal) -> int:
    """Return minor units, rounded half up: once, or on the line of each tier."""
    parts = tiers.parts(price, quantity)
    return sum(part.amount for part in parts) if parts else tiers.rounded(tiers.exact(price, quantity))


def describe(account: Account, price: Json, quantity: int | Decimal) -> str:
    """Return the description of a line, like Stripe's: 1 × Pro (at $49.99 / month)."""
    product = account.get(price["product"])
    name = product["name"] if product else price["product"]
    if not price["recurring"]:
        return str(name)
    if price["billing_scheme"] == "tiered":
        return f"{quantity} × {name}"
    each = f"{money(price['unit_amount'] or 0, price['currency'])} / {price['recurring']['interval']}"
    return f"{quantity} × {name} (at {each})"


def counted(account: Account, item: Json) -> str:
    """Return a subscription item as text: Pro, or 2 × Pro."""
    product = account.get(item["price"]["product"]) or {}
    name, quantity = product.get("name", ""), item.get("quantity", 1)
    return f"{quantity} × {name}" if quantity > 1 else name


def day(moment: int) -> str:
    """Return a date as text, such as 1 Jan 2027, in UTC."""
    return f"{dt.datetime.fromtimestamp(moment, dt.UTC):%d %b %Y}".lstrip("0")


def money(amount: int, currency: str) -> str:
    """Return an amount as text."""
    sign = {"usd": "$", "eur": "€", "gbp": "£"}.get(currency, currency.upper() + " ")
    places = 0 if currency in ZERO_DECIMAL else 3 if currency in THREE_DECIMAL else 2
    digits = f"{Decimal(abs(amount)).scaleb(-places):,.{places}f}"
    return f"{'-' if amount < 0 else ''}{sign}{digits}"
