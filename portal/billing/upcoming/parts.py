"""The items of a subscription: which one is the plan, and what each costs."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select

from portal import gateway
from portal.catalogue import items
from portal.enums import Mode
from portal.extensions import db
from portal.models import Plan, SubscriptionPart


@dataclass(frozen=True)
class Found:
    """A subscription's items, the one that decides the tier first. `tier` is None if none of them gives one."""

    parts: list[SubscriptionPart]
    tier: str | None

    @property
    def plan(self) -> SubscriptionPart:
        """Return the item that decides."""
        return self.parts[0]

    @property
    def amount(self) -> int:
        """Return the sum of the list prices that are charged as often as the plan."""
        return sum(part.amount or 0 for part in self.parts if part.cycle == self.plan.cycle)


def of(mode: Mode, priced: Sequence[tuple[gateway.Price, int]]) -> Found:
    """Return the items of a subscription, given as prices with their quantities.

    The strongest source of a tier decides, wherever its item stands; of several plans it is the highest. Without
    one, an item that is charged comes before usage.
    """
    sources = [_source(price, mode) for price, _ in priced]
    given = list(zip(sources, priced, strict=True))
    strongest = min(rank for rank, _ in sources)
    deciding = [tier for rank, tier in sources if rank == strongest]
    highest = _highest(deciding) if len(deciding) > 1 else deciding[0]
    ordered = sorted(given, key=lambda one: (one[0] != (strongest, highest), one[1][0].metered))
    first, *rest = [_part(price, quantity) for _, (price, quantity) in ordered]
    return Found([first.deciding(), *rest], highest)


def _source(price: gateway.Price, mode: Mode) -> tuple[int, str | None]:
    """Return what gives a price its tier, the strongest first, and the tier."""
    found = items.tier_and_source(price, mode)
    return found if found else (len(items.TierSource) + 1, None)


def _highest(tiers: Sequence[str | None]) -> str | None:
    query = select(Plan.tier).where(Plan.tier.in_(tiers)).order_by(Plan.position.desc()).limit(1)
    return db.session.execute(query).scalar_one_or_none() or tiers[0]


def _part(price: gateway.Price, quantity: int) -> SubscriptionPart:
    unit = None if price.unit_amount is None or price.tiers_mode else price.unit_amount * price.package
    return SubscriptionPart(
        price_id=price.id,
        product_id=price.product,
        name=price.product_name,
        quantity=quantity,
        amount=price.cost(quantity),
        unit=None if unit is None else format(unit.normalize(), "f"),
        currency=price.currency,
        interval=price.interval or "month",
        interval_count=price.interval_count,
        package=price.package,
        packages=price.packages(quantity),
        in_tiers=price.tiers_mode is not None,
        metered=price.metered,
    )
