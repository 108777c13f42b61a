"""`flask reconcile`: a table of differences, and exit status 1 where there is one."""

import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import click

from portal import clock, gateway
from portal.errors import PortalError
from portal.reconcile import at_stripe, books
from portal.reconcile.difference import Difference

PERIOD = timedelta(days=90)  # longer than a cardholder mostly takes to dispute
HEADINGS = ("mode", "what", "about", "expected", "found")


@click.command("reconcile")
@click.option("--mode", type=click.Choice(gateway.MODES), help="Default: both.")
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]),
    help="How far back Stripe's lists are read, UTC; default: 90 days. The ledger is proved whole.",
)
def command(mode: str | None, since: datetime | None) -> None:
    """Prove the books: ledger sums, and what is paid, refunded, disputed and subscribed at Stripe against ours."""
    begin = since.replace(tzinfo=UTC) if since else clock.now() - PERIOD
    modes = [mode] if mode else gateway.MODES
    try:
        found = [one for each in modes for one in differences(each, begin)]
    except PortalError as error:
        raise click.ClickException(error.detail) from None
    if found:
        click.echo(table(found))
        click.echo("\nWhat to do:")
        for what in dict.fromkeys(one.what for one in found):
            click.echo(f"  {what}: {next(one.remedy for one in found if one.what == what)}")
        click.secho(f"{len(found)} do not fit", fg="red", err=True)
        sys.exit(1)
    click.echo(f"The books agree ({', '.join(modes)}; Stripe since {begin:%Y-%m-%d}).")


def differences(mode: str, since: datetime) -> Iterator[Difference]:
    """Everything that does not fit; at Stripe what was made since then. Raises StripeUnavailable."""
    yield from books.differences(mode)
    if gateway.of(mode).is_configured:
        yield from at_stripe.differences(mode, since)


def table(found: Sequence[Difference]) -> str:
    """Columns as wide as what stands in them."""
    rows = [HEADINGS, *((one.mode, one.what, one.about, one.expected, one.found) for one in found)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
