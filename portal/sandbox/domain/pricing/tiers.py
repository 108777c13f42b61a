"""Prices by tier or by package: the cost of a quantity before rounding.

https://docs.stripe.com/subscriptions/pricing-models/tiered-pricing
https://docs.stripe.com/billing/subscriptions/usage-based/transform-quantities
"""

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Part:
    """The units of a quantity that are in one tier, and their cost with its flat fee, rounded half up."""

    number: int
    tier: Json
    units: Decimal
    amount: int


def exact(price: Json, quantity: int | Decimal) -> Decimal:
    """Return the cost of a quantity of a price, in minor units and fractions of them."""
    if price.get("billing_scheme") == "tiered":
        if price["tiers_mode"] == "volume":
            return volume(price["_"]["tiers"], Decimal(quantity))
        return sum((cost(tier, units) for tier, units in graduated(price, quantity)), Decimal(0))
    return Decimal(price["unit_amount_decimal"] or 0) * packages(
        price.get("transform_quantity"), Decimal(quantity)
    )


def packages(transform: Json | None, quantity: Decimal) -> Decimal:
    """Return a quantity after transform_quantity: divided, and rounded up or down."""
    if not transform:
        return quantity
    rounding = ROUND_CEILING if transform["round"] == "up" else ROUND_FLOOR
    return (quantity / Decimal(transform["divide_by"])).to_integral_value(rounding)


def volume(tiers: list[Json], quantity: Decimal) -> Decimal:
    """Return the cost of all units at the price of the tier for the whole quantity."""
    tier = next(tier for tier in tiers if tier["up_to"] is None or quantity <= tier["up_to"])
    return cost(tier, quantity)


def graduated(price: Json, quantity: int | Decimal) -> list[tuple[Json, Decimal]]:
    """Return the tiers that are reached, each with its units; a quantity of zero is in the first."""
    reached, below = [], Decimal(0)
    for number, tier in enumerate(price["_"]["tiers"]):
        if number and quantity <= below:
            break
        top = Decimal(quantity) if tier["up_to"] is None else min(Decimal(quantity), Decimal(tier["up_to"]))
        reached.append((tier, top - below))
        below = top
    return reached


def parts(price: Json, quantity: int | Decimal) -> list[Part]:
    """Return what an invoice bills on separate lines: each tier of a graduated price; nothing for other prices."""
    if price.get("tiers_mode") != "graduated":
        return []
    found = enumerate(graduated(price, quantity), 1)
    return [Part(n, tier, units, rounded(cost(tier, units))) for n, (tier, units) in found]


def rounded(amount: Decimal) -> int:
    """Return whole minor units, rounded half up."""
    return int(amount.quantize(Decimal(1), ROUND_HALF_UP))


def cost(tier: Json, units: Decimal) -> Decimal:
    """Return the cost of units in one tier, with its flat fee."""
    return Decimal(tier["unit_amount_decimal"] or 0) * units + Decimal(tier["flat_amount_decimal"] or 0)
