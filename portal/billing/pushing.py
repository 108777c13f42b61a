"""The catalogue's prices at Stripe: `flask catalogue push`."""

from collections.abc import Iterator

from sqlalchemy import select

from portal.credits import packages
from portal.extensions import db
from portal.models import Plan
from portal.purchases import prices
from portal.purchases.prices import Entry, Pushed


def push(mode: str, *, dry_run: bool = False) -> Iterator[Pushed]:
    """Bring every price of the catalogue, plans and credits, to Stripe, price by price; commits each."""
    yield from prices.bring(mode, [*_plans(), *packages.entries()], dry_run=dry_run)


def _plans() -> Iterator[Entry]:
    for plan in db.session.execute(select(Plan).filter_by(withdrawn=False).order_by(Plan.position)).scalars():
        for price in plan.prices:
            if not price.withdrawn:
                yield Entry(price.key, price, plan, plan.name, price.interval, {"tier": plan.tier})
