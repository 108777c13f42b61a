"""The catalogue's prices at Stripe, and what its own portal offers: `flask catalogue push`."""

from collections.abc import Iterator
from decimal import Decimal

from portal.billing import plans
from portal.credits import packages
from portal.purchases import pinned, prices
from portal.purchases.prices import Entry, Pushed
from portal.usage import meters


def push(mode: str, *, dry_run: bool = False) -> Iterator[Pushed]:
    """Bring every price of the catalogue, plans, credits and meters, to Stripe, price by price; commits each.

    Last comes the configuration of Stripe's own portal.
    """
    entries = [*_plans(), *packages.entries(), *meters.entries()]
    yield from prices.bring(mode, entries, dry_run=dry_run)
    yield pinned.push(mode, dry_run=dry_run)


def missing(mode: str) -> list[Pushed]:
    """What a push would make, or put right, in this mode. Reads alone. Raises what `push` does."""
    return [found for found in push(mode, dry_run=True) if found.is_missing]


def _plans() -> Iterator[Entry]:
    for plan in plans.every_plan():
        for price in plan.prices:
            if not price.withdrawn and not plan.withdrawn:
                amount, facts = Decimal(price.amount), {"tier": plan.tier}
                yield Entry(price.key, price, plan, plan.name, amount, price.interval, metadata=facts)
