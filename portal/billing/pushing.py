"""The catalogue's prices at Stripe: `flask catalogue push`."""

from collections.abc import Iterator

from portal.billing import plans
from portal.credits import packages
from portal.purchases import prices
from portal.purchases.prices import Entry, Pushed


def push(mode: str, *, dry_run: bool = False) -> Iterator[Pushed]:
    """Bring every price of the catalogue, plans and credits, to Stripe, price by price; commits each."""
    yield from prices.bring(mode, [*_plans(), *packages.entries()], dry_run=dry_run)


def _plans() -> Iterator[Entry]:
    for plan in plans.every_plan():
        for price in plan.prices:
            if not price.withdrawn and not plan.withdrawn:
                yield Entry(price.key, price, plan, plan.name, price.interval, {"tier": plan.tier})
