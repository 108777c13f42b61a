"""Push the catalogue's prices and the customer portal's configuration to Stripe: `flask catalogue push`."""

from collections.abc import Iterator

from portal.catalogue import meters, packages, plans, portal_configuration, prices
from portal.catalogue.prices import Pushed
from portal.enums import Mode


def push(mode: Mode, *, dry_run: bool = False) -> Iterator[Pushed]:
    """Push every price of the catalogue (plans, credits and meters) to Stripe, committing after each.

    The configuration of the Stripe customer portal comes last.
    """
    entries = [*plans.entries(), *packages.entries(), *meters.entries()]
    yield from prices.bring(mode, entries, dry_run=dry_run)
    yield portal_configuration.push(mode, dry_run=dry_run)


def missing(mode: Mode) -> list[Pushed]:
    """List what a push would create or correct in this mode. Only reads. Raises the same errors as `push`."""
    return [found for found in push(mode, dry_run=True) if found.is_missing]
