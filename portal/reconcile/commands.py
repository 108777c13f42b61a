"""`flask reconcile`: a table of differences, with exit status 1 if there are any."""

import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import click

from portal import clock, gateway
from portal.commands import MODE
from portal.enums import Mode
from portal.errors import PortalError
from portal.reconcile import at_stripe, in_database
from portal.reconcile.difference import Difference

PERIOD = timedelta(days=90)  # longer than most cardholders take to dispute
HEADINGS = ("mode", "what", "about", "expected", "found")


@click.command("reconcile")
@click.option("--mode", type=MODE, help="Default: both.")
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]),
    help="How far back Stripe's lists are read, UTC; default: 90 days. The ledger is always checked completely.",
)
def command(mode: Mode | None, since: datetime | None) -> None:
    """Check the ledger, and compare payments, refunds, disputes and subscriptions with Stripe. Changes nothing.

    The exit status is 1 if there are differences. "unproven address" is a note, which does not count as one.
    """
    begin = since.replace(tzinfo=UTC) if since else clock.now() - PERIOD
    modes = [mode] if mode else [*Mode]
    try:
        found = [one for each in modes for one in differences(each, begin)]
    except PortalError as error:
        raise click.ClickException(error.for_operator) from None
    if found:
        click.echo(table(found))
        click.echo("\nWhat to do:")
        for what in dict.fromkeys(one.what for one in found):
            click.echo(f"  {what}: {next(one.remedy for one in found if one.what == what)}")
    if wrong := [one for one in found if not one.is_note]:
        click.secho(f"{len(wrong)} do not fit", fg="red", err=True)
        sys.exit(1)
    if found:
        click.secho(f"{len(found)} to look at", fg="yellow", err=True)
    click.echo(f"The books agree ({', '.join(modes)}; Stripe since {begin:%Y-%m-%d}).")


def differences(mode: Mode, since: datetime) -> Iterator[Difference]:
    """Yield every difference; at Stripe only objects created since then. Raises StripeUnavailable."""
    yield from in_database.differences(mode)
    if gateway.of(mode).is_configured:
        yield from at_stripe.differences(mode, since)


def table(found: Sequence[Difference]) -> str:
    """Return a table with columns as wide as their content."""
    rows = [HEADINGS, *((one.mode, one.what, one.about, one.expected, one.found) for one in found)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
