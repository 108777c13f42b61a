"""The plans of the catalogue, and which of their prices are on sale."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import structlog
from sqlalchemy import select
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.orm import joinedload

from portal.catalogue import catalogue_file
from portal.catalogue.prices import Entry
from portal.enums import Mode
from portal.extensions import db
from portal.models import Meter, Plan, Price
from portal.settings import current_settings

log = structlog.get_logger()


def facts(entry: catalogue_file.Plan) -> dict[str, Any]:
    """Return the columns of a plan of the catalogue: all its fields but the prices."""
    columns = {name: value for name, value in vars(entry).items() if name != "prices"}
    return columns | {"features": list(entry.features)}


def every_plan() -> list[Plan]:
    """List all plans with their prices, including hidden and withdrawn ones, lowest first. Runs one query."""
    query = select(Plan).options(joinedload(Plan.prices)).order_by(Plan.position)
    return list(db.session.execute(query).unique().scalars())


def entries() -> Iterator[Entry]:
    """Yield what `flask catalogue push` creates at Stripe for the plans."""
    for plan in every_plan():
        for price in plan.prices:
            if not price.withdrawn and not plan.withdrawn:
                amount, tier = Decimal(price.amount), {"tier": plan.tier}
                yield Entry(price.key, price, plan, plan.name, amount, price.interval, metadata=tier)


def has_yearly(plans: list[Plan]) -> bool:
    """Return whether any plan on the page has a yearly price."""
    return any(price.interval == "year" for plan in plans for price in plan.prices if is_on_sale(price))


def price_for(plan: Plan, cycle: str) -> Price | None:
    """Return the plan's price for this cycle, else for the other one; None for a plan that is not on sale."""
    prices = [price for price in plan.prices if is_on_sale(price)]
    fitting = [price for price in prices if price.interval == cycle]
    return next(iter(fitting or prices), None)


def not_on_sale(plans: Sequence[Plan]) -> list[str]:
    """List the price keys of shown plans that cannot be bought, because no live price at Stripe is known."""
    shown = [price for plan in plans if not plan.hidden and not plan.withdrawn for price in plan.prices]
    return [
        price.key
        for price in shown
        if not price.withdrawn and not price.is_archived(Mode.LIVE) and not is_on_sale(price)
    ]


def log_what_is_not_on_sale() -> None:
    """Log once at startup which prices are missing and how to create them. Ends the transaction."""
    try:
        missing = not_on_sale(every_plan())
    except (OperationalError, ProgrammingError):  # no tables yet, which /readyz reports
        missing = []
    db.session.rollback()
    db.engine.dispose()  # a worker must not inherit its connections
    if missing:
        fix = "name its price in STRIPE_PRICE_<PLAN>_<CYCLE> and run flask seed-plans, or run flask catalogue push"
        log.warning("plans_not_on_sale", prices=missing, fix=fix)


def is_on_sale(price: Price) -> bool:
    """Return whether the price can be bought: it exists at Stripe, or it is free."""
    if price.withdrawn or price.is_archived(Mode.LIVE):
        return False
    return not price.amount or price.live_price_id is not None


def log_unknown_prices() -> None:
    """Log once at startup which settings of the form STRIPE_PRICE_… match nothing in the catalogue."""
    if unknown := current_settings().unknown_prices:
        fix = "name a plan, meter or package of the catalogue (docs/settings.md), or remove the setting"
        log.warning("price_settings_unknown", settings=unknown, fix=fix)


def features_of(plans: Sequence[Plan]) -> dict[str, list[str]]:
    """Return the features that the pricing page lists, by tier: what is included each month, then the catalogue's
    sentences.

    Runs one query if a plan includes units of a meter.
    """
    names: dict[str, str] = {}
    if any(plan.included for plan in plans):
        names = {row.key: row.name for row in db.session.execute(select(Meter.key, Meter.name))}
    return {plan.tier: [*_included(plan, names), *plan.features] for plan in plans}


def feature_count(entry: catalogue_file.Plan) -> int:
    """Return how many features the pricing page lists for a plan of the file."""
    return len(entry.features) + bool(entry.credits) + len(entry.included)


def _included(plan: Plan, names: Mapping[str, str]) -> Iterator[str]:
    if plan.credits:
        kept = f"; unused ones roll over for {counted(plan.rollover, 'month')}" if plan.rollover else ""
        yield f"{counted(plan.credits, 'credit')} a month{kept}"
    for meter, units in plan.included.items():
        yield f"{counted(units, names.get(meter, meter))} a month"


def counted(number: int, name: str) -> str:
    """Return "50,000 API calls", or "1 CPU hour": a name in the singular gets an s for other numbers."""
    plural = "" if number == 1 or name.endswith("s") else "s"
    return f"{number:,} {name}{plural}"
