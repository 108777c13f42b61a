"""`flask seed-plans`, and `flask catalogue …`: loading what is on sale, and pushing it to Stripe."""

import sys

import click
from flask.cli import with_appcontext

from portal.catalogue import archived_prices, catalogue_file, load, push
from portal.commands import MODE, Commands
from portal.enums import Mode
from portal.errors import PortalError
from portal.extensions import db
from portal.settings import current_settings

group = Commands("catalogue", help="What is on sale, at Stripe.")


@click.command("seed-plans")
@with_appcontext
def seed_plans() -> None:
    """Load the catalogue into the database. It can be repeated."""
    click.echo(load.report(load_and_commit(read())))
    for name in current_settings().unknown_prices:
        click.secho(f"  {name} names nothing in the catalogue, so nothing is sold by it.", fg="yellow", err=True)


def read() -> catalogue_file.Catalogue:
    """Read the catalogue's file, reporting errors as text without a traceback."""
    try:
        return catalogue_file.read(current_settings().catalogue)
    except catalogue_file.BadCatalogue as faults:
        raise click.ClickException(str(faults)) from None


def load_and_commit(entries: catalogue_file.Catalogue) -> load.Loaded:
    """Load the catalogue and commit."""
    done = load.into_database(entries, current_settings().price_ids)
    db.session.commit()
    return done


@group.command("push")
@click.option("--mode", type=MODE, default="live", show_default=True)
@click.option("--dry-run", is_flag=True, help="List what is missing, without changing anything.")
@click.option("--yes", is_flag=True, help="Create live prices without asking.")
def push_prices(mode: Mode, dry_run: bool, yes: bool) -> None:
    """Create missing products and prices at Stripe. Never edits or deletes them.

    Asks before it creates live ones. Prices that are archived at Stripe are recorded, and not offered.
    """
    if mode == Mode.LIVE and current_settings().takes_real_money and not dry_run:
        ask_about_live_prices(yes)
    for done in push.push(mode, dry_run=dry_run):
        click.echo(f"  {done.key:<22} {done.what:<32} {done.stripe_id or ''}")
    if not dry_run:
        archived_prices.apply(archived_prices.read_all(mode))
        db.session.commit()


def ask_about_live_prices(yes: bool) -> None:
    """List what would be created in the live account, and continue only after confirmation."""
    missing = push.missing(Mode.LIVE)
    if not missing:
        return
    click.echo("Not in your live Stripe account yet:")
    for entry in missing:
        click.echo(f"  {entry.key:<22} {entry.terms}")
    if yes:
        return
    if not somebody_can_be_asked():
        raise click.ClickException("Nothing was made: say --yes where nobody can be asked.")
    click.confirm("Make these in your live Stripe account?", abort=True)


def somebody_can_be_asked() -> bool:
    """Return whether a person is at the terminal."""
    return sys.stdin.isatty()


def push_what_can_be() -> None:
    """Push the catalogue in each mode that has a key. In the live account, only report what is missing.

    If Stripe is unavailable, the portal still starts.
    """
    for mode in Mode:
        if not current_settings().secret_key_for(mode):
            continue
        try:
            if mode == Mode.TEST or not current_settings().takes_real_money:
                list(push.push(mode))
            elif missing := push.missing(mode):
                words = f"Not in your live Stripe account yet: {len(missing)} of the catalogue's entries."
                click.secho(f"  {words} `flask catalogue push` lists them and asks.", fg="yellow", err=True)
        except PortalError as error:
            click.secho(f"  The {mode} catalogue: {error.for_operator}", fg="yellow", err=True)
