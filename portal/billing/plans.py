"""The plans on sale, as the pricing page shows them."""

from dataclasses import dataclass

from sqlalchemy import select

from portal import access
from portal.extensions import db
from portal.models import Plan, Price
from portal.purchases import items

CYCLES = ("month", "year")
MONTHS_A_YEAR = 12


@dataclass(frozen=True)
class Offer:
    """One plan on the pricing page. `saving` is what a year costs less than twelve months, in minor units."""

    key: str
    name: str
    description: str
    features: list[str]
    recommended: bool
    price: Price | None
    saving: int | None
    is_current: bool
    verb: str
    action: str  # "buy" (strangers sign up on the way), or "change" for who has a plan already


def on_sale() -> list[Plan]:
    """The visible plans in the catalogue's order. Two queries."""
    query = select(Plan).filter_by(hidden=False, withdrawn=False).order_by(Plan.position)
    return list(db.session.execute(query).scalars())


def offers(cycle: str, mine: access.Access | None) -> list[Offer]:
    """The pricing page's plans for one cycle, for a customer or (None) a stranger; only what may be sold."""
    found = []
    plans = on_sale()
    positions = {plan.tier: plan.position for plan in plans}
    for plan in plans:
        price = price_for(plan, cycle)
        if price is not None and items.is_allowed(price.stripe_id("live")):
            found.append(_offer(plan, price, mine, positions))
    return found


def price_for(plan: Plan, cycle: str) -> Price | None:
    """The plan's price for this cycle; a plan sold in one cycle only is shown with that."""
    prices = [price for price in plan.prices if not price.withdrawn]
    fitting = [price for price in prices if price.interval == cycle]
    return next(iter(fitting or prices), None)


def _offer(plan: Plan, price: Price, mine: access.Access | None, positions: dict[str, int]) -> Offer:
    subscribed = mine is not None and mine.subscription is not None
    is_current = mine is not None and mine.tier == plan.tier
    verb = "Choose"
    if subscribed and mine is not None:
        verb = "Upgrade to" if plan.position > positions.get(mine.tier, -1) else "Switch to"
    return Offer(
        key=plan.key,
        name=plan.name,
        description=plan.description,
        features=plan.features,
        recommended=plan.recommended,
        price=price,
        saving=_saving(plan, price),
        is_current=is_current,
        verb=verb,
        action="change" if subscribed else "buy",
    )


def _saving(plan: Plan, price: Price) -> int | None:
    monthly = price_for(plan, "month")
    if price.interval != "year" or monthly is None or monthly.interval != "month":
        return None
    return max(monthly.amount * MONTHS_A_YEAR - price.amount, 0) or None
