"""Prices by tier or by package: what a quantity comes to before it is rounded.

https://docs.stripe.com/subscriptions/pricing-models/tiered-pricing
https://docs.stripe.com/billing/subscriptions/usage-based/transform-quantities
"""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

Json = dict[str, Any]


def exact(price: Json, quantity: int | Decimal) -> Decimal:
    """What a quantity of a price comes to, in minor units and fractions of them."""
    if price.get("billing_scheme") == "tiered":
        tiers = price["_"]["tiers"]
        mode = volume if price["tiers_mode"] == "volume" else graduated
        return mode(tiers, Decimal(quantity))
    return Decimal(price["unit_amount_decimal"] or 0) * packages(
        price.get("transform_quantity"), Decimal(quantity)
    )


def packages(transform: Json | None, quantity: Decimal) -> Decimal:
    """A quantity after transform_quantity: divided, and rounded up or down."""
    if not transform:
        return quantity
    rounding = ROUND_CEILING if transform["round"] == "up" else ROUND_FLOOR
    return (quantity / Decimal(transform["divide_by"])).to_integral_value(rounding)


def volume(tiers: list[Json], quantity: Decimal) -> Decimal:
    """Every unit at the price of the tier that the whole quantity falls into."""
    tier = next(tier for tier in tiers if tier["up_to"] is None or quantity <= tier["up_to"])
    return cost(tier, quantity)


def graduated(tiers: list[Json], quantity: Decimal) -> Decimal:
    """Each unit at the price of its own tier; nothing at all is in the first one."""
    total, below = Decimal(0), Decimal(0)
    for number, tier in enumerate(tiers):
        if number and quantity <= below:
            break
        top = quantity if tier["up_to"] is None else min(quantity, Decimal(tier["up_to"]))
        total += cost(tier, top - below)
        below = top
    return total


def cost(tier: Json, units: Decimal) -> Decimal:
    """So many units in one tier, with its flat fee."""
    return Decimal(tier["unit_amount_decimal"] or 0) * units + Decimal(tier["flat_amount_decimal"] or 0)
