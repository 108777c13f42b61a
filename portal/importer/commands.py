"""`flask customers import` and `flask moving …`: moving here from an earlier system."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import click

from portal.api import health
from portal.commands import MODE, Commands, audited
from portal.enums import Mode
from portal.errors import StripeUnavailable
from portal.extensions import db
from portal.importer import adopt, balances, imported_keys, sql_views
from portal.importer.adopt import Outcome, Wish
from portal.mail import masked
from portal.webhooks import replays

group = Commands("customers", help="Who pays.")
moving_group = Commands("moving", help="What an earlier system had.")

FILE = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
ASIDE = ("without a mail address", "of the other mode")


@group.command("import")
@click.option("--mode", type=MODE, default="live", show_default=True)
@click.option("--dry-run", is_flag=True, help="List what would be imported, without writing anything.")
@click.option("--claim-mails", is_flag=True, help="Email each new user the link that claims the account.")
def command(mode: Mode, dry_run: bool, claim_mails: bool) -> None:
    """Import the Stripe account's customers and active subscriptions, and replay their parked events.

    Repeating it continues, and changes nothing that is done.
    """
    try:
        _import(mode, Wish(dry_run=dry_run, claim_mails=claim_mails))
    except StripeUnavailable as error:
        raise click.ClickException(
            f"{error.for_operator} What is done stays done: run it again to go on."
        ) from None


def _import(mode: Mode, wish: Wish) -> None:
    counts: Counter[str] = Counter()
    for outcome in adopt.people(mode, wish):
        counts[outcome.what] += 1
        if outcome.what in ASIDE:
            click.echo(_line(outcome))
    for what, count in sorted(counts.items()):
        click.echo(f"  customers {what:<24} {count}")
    if wish.dry_run:
        click.echo("Nothing was written.")
        return
    ours = Counter(adopt.plans(mode))
    click.echo(f"  subscriptions read             {ours[True]}")
    click.echo(f"  subscriptions of nobody here   {ours[False]}")
    click.echo(f"  parked events handled          {_replay()}")


def _line(outcome: Outcome) -> str:
    return f"{outcome.stripe_id}  {masked(outcome.email)}  {outcome.what}"


def _replay() -> int:
    """Handle all events that were parked until their customer became ours; the sweep retries each only a few
    times.
    """
    done = 0
    while found := replays.sweep():
        done += found
    return done


@moving_group.command("views")
@click.option("--drop", is_flag=True, help="Remove them.")
def views(drop: bool) -> None:
    """Create read-only SQL views with the table names of earlier systems, for queries that you keep.

    `db upgrade` creates them again where they exist. They show live mode.
    """
    health.check_schema()
    if drop:
        done = sql_views.drop(db.session.connection())
    else:
        sql_views.make(db.session.connection())
        done = list(sql_views.VIEWS)
    db.session.commit()
    for name in done:
        click.echo(f"  {'dropped' if drop else 'view'}  {name}")


@moving_group.command("keys")
@FILE
@click.option("--mode", type=MODE, default="live", show_default=True)
@click.option("--dry-run", is_flag=True, help="Check the file, without writing anything.")
@audited
def keys(file: Path, mode: Mode, dry_run: bool) -> None:
    """Import API keys that customers hold already: a CSV file with customer, prefix and sha256.

    They keep working as they are, and whoever claims the account is not asked about them. Repeating it changes
    nothing.
    """
    found = imported_keys.read(file, mode)
    _count("keys", len(found), None if dry_run else imported_keys.bring(found, mode))


@moving_group.command("balances")
@FILE
@click.option("--mode", type=MODE, default="live", show_default=True)
@click.option("--dry-run", is_flag=True, help="Check the file, without writing anything.")
@audited
def credit_balances(file: Path, mode: Mode, dry_run: bool) -> None:
    """Import credit balances, which do not expire: a CSV file with customer, credits and reference.

    Each reference is imported once, however often the command runs.
    """
    found = balances.read(file, mode)
    _count("balances", len(found), None if dry_run else balances.bring(found, mode))


def _count(what: str, lines: int, outcomes: Iterable[str] | None) -> None:
    if outcomes is None:
        click.echo(f"  {lines} {what} are right. Nothing was written.")
        return
    for outcome, count in sorted(Counter(outcomes).items()):
        click.echo(f"  {what:<9} {outcome:<8} {count}")
