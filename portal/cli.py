"""The `flask` commands."""

import os
import sys
import time
import urllib.error
import urllib.request
import uuid
from datetime import UTC, datetime

import click
from flask import Flask
from flask.cli import with_appcontext

from portal import catalogue
from portal.admin.command import group as audit_group
from portal.adoption.command import group as customers_group
from portal.billing import seeding
from portal.commands import Commands
from portal.errors import PortalError
from portal.extensions import ROOT, db
from portal.keys.command import group as operator_keys_group
from portal.reconcile.command import command as reconcile
from portal.settings import current_settings
from portal.usage.commands import bill_month
from portal.usage.commands import usage as usage_group
from portal.version import __version__
from portal.webhooks.command import group as events_group

catalogue_group = Commands("catalogue", help="What is on sale, at Stripe.")
credits_group = Commands("credits", help="Prepaid credits.")
links_group = Commands("payment-link", help="Selling without a website.")
users_group = Commands("users", help="Who signs in.")


def init_app(app: Flask) -> None:
    """Register the commands."""
    # `flask db downgrade -1`, as Alembic's own command line takes it: click would read -1 as an option.
    db_group = app.cli.commands["db"]
    assert isinstance(db_group, click.Group)
    db_group.commands["downgrade"].context_settings["ignore_unknown_options"] = True
    groups = (
        audit_group,
        catalogue_group,
        credits_group,
        customers_group,
        events_group,
        links_group,
        operator_keys_group,
        usage_group,
        users_group,
    )
    for group in groups:
        app.cli.add_command(group)
    for command in (bill_month, reconcile, seed_plans, sandbox, start, tick, version):
        app.cli.add_command(command)


@click.command("version")
def version() -> None:
    """Print the portal's version."""
    click.echo(f"Portal {__version__}")


@click.command("seed-plans")
@with_appcontext
def seed_plans() -> None:
    """Load the catalogue into the database; again it changes nothing."""
    click.echo(seeding.report(seed(read_catalogue())))


def read_catalogue() -> catalogue.Catalogue:
    """The catalogue's file; its faults are words, not a traceback."""
    try:
        return catalogue.read(current_settings().catalogue)
    except catalogue.BadCatalogue as faults:
        raise click.ClickException(str(faults)) from None


def seed(entries: catalogue.Catalogue) -> seeding.Seeded:
    """Load the catalogue and commit."""
    done = seeding.seed(entries, current_settings().price_ids)
    db.session.commit()
    return done


@catalogue_group.command("push")
@click.option("--mode", type=click.Choice(["live", "test"]), default="live", show_default=True)
@click.option("--dry-run", is_flag=True, help="Say what is missing, change nothing.")
@click.option("--yes", is_flag=True, help="Make live prices without asking.")
def push(mode: str, dry_run: bool, yes: bool) -> None:
    """Make the missing products and prices at Stripe; never edits or deletes. Asks before it makes live ones."""
    from portal.billing import pushing

    if mode == "live" and current_settings().takes_real_money and not dry_run:
        ask_about_live_prices(yes)
    for done in pushing.push(mode, dry_run=dry_run):
        click.echo(f"  {done.key:<22} {done.what:<32} {done.stripe_id or ''}")


def ask_about_live_prices(yes: bool) -> None:
    """List what would be made in the live account, and go on only if somebody agrees."""
    from portal.billing import pushing

    missing = pushing.missing("live")
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
    """Whether a person sits at the terminal."""
    return sys.stdin.isatty()


@links_group.command("create")
@click.option("--tier", required=True, help="The plan's tier, such as pro.")
@click.option("--cycle", type=click.Choice(["month", "year"]), help="Default: monthly, where there are both.")
@click.option("--mode", type=click.Choice(["live", "test"]), default="live", show_default=True)
@click.option(
    "--price", default="", help="The Stripe price to sell; default: STRIPE_PRICE_MAP's, then the catalogue's."
)
@click.option(
    "--allow-hidden", "--allow-pro", is_flag=True, help="Sell a plan that the pricing page does not show."
)
@click.option("--base-url", default="", help="Where the success page is reached; default: BASE_URL.")
def create_link(tier: str, cycle: str | None, mode: str, price: str, allow_hidden: bool, base_url: str) -> None:
    """Make a Payment Link that lands on the success page, and print its address."""
    from portal.purchases import links

    made = links.create(tier, mode, cycle=cycle, allow_hidden=allow_hidden, base_url=base_url, price=price)
    click.echo(made)


@click.command("sandbox")
@click.option("--port", type=int, help="Default: SANDBOX_PORT.")
@with_appcontext
def sandbox(port: int | None) -> None:
    """The Stripe-compatible server alone."""
    from portal import instance
    from portal import settings as settings_module
    from portal.sandbox.config import Config, Endpoint
    from portal.sandbox.server import serve

    if not current_settings().uses_sandbox:
        raise click.ClickException("A Stripe key is set, so the portal talks to Stripe and needs no sandbox.")
    instance.prepare(current_settings())
    given = settings_module.load()  # once more: at the first start the sandbox's keys were only now written
    base = f"http://127.0.0.1:{given.port}"
    endpoints = (
        Endpoint("live", f"{base}/api/webhooks/stripe", given.webhook_secrets("live")[0]),
        Endpoint("test", f"{base}/api/webhooks/stripe-test", given.webhook_secrets("test")[0]),
    )
    serve(
        Config(
            port=port or given.sandbox_port,
            database=given.instance_path / "sandbox.db",
            live_key=given.secret_key_for("live") or "",
            test_key=given.secret_key_for("test") or "",
            endpoints=endpoints,
        )
    )


@click.command("start")
@with_appcontext
def start() -> None:
    """What `make run` starts: wait for the sandbox, upgrade, seed, push the catalogue, serve.

    With a live key nothing is made at Stripe: `flask catalogue push` does that.
    """
    from flask_migrate import upgrade

    from portal.accounts import people

    if sys.platform == "win32":
        raise click.ClickException("Serving needs Linux, macOS or WSL; the other commands work here.")
    entries = read_catalogue()
    upgrade()
    seed(entries)
    if current_settings().uses_sandbox:
        wait_for(current_settings().stripe_api_base + "/healthz")
    push_what_can_be()
    passwords = people.ensure_people(current_settings())
    db.session.commit()
    db.engine.dispose()
    welcome({} if current_settings().is_production else passwords)
    # Named, because the working directory may be another one: that is where `.env` is.
    here = ["--config", str(ROOT / "gunicorn.conf.py"), "--pythonpath", str(ROOT)]
    os.execv(sys.executable, [sys.executable, "-m", "gunicorn", *here, "wsgi:app"])  # noqa: S606


def push_what_can_be() -> None:
    """Push the catalogue in each mode that has a key; in the live account only say what is missing.

    Stripe being away does not keep the portal from starting.
    """
    from portal.billing import pushing

    for mode in ("live", "test"):
        if not current_settings().secret_key_for(mode):
            continue
        try:
            if mode == "test" or not current_settings().takes_real_money:
                list(pushing.push(mode))
            elif missing := pushing.missing(mode):
                words = f"Not in your live Stripe account yet: {len(missing)} of the catalogue's entries."
                click.secho(f"  {words} `flask catalogue push` lists them and asks.", fg="yellow", err=True)
        except PortalError as error:
            click.secho(f"  The {mode} catalogue: {error.detail}", fg="yellow", err=True)


def welcome(passwords: dict[str, str]) -> None:
    """The address, and at the first start the two demo sign-ins."""
    click.echo(f"\n  Portal is on {current_settings().base_url}\n")
    for email, password in passwords.items():
        click.echo(f"    {email:<24} {password}")
    if passwords:
        click.echo("\n  These passwords are shown this once.")
    if current_settings().uses_sandbox:
        click.echo("  Cards, with any date ahead and any CVC: 4242 4242 4242 4242 pays, 4000 0000 0000 0002 is")
        click.echo("  declined, 4000 0025 0000 3155 asks for authentication. No money moves.\n")


def wait_for(url: str, seconds: float = 20) -> None:
    """Return when the address answers; raise click's error when it does not in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=1):  # noqa: S310
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise click.ClickException(f"{url} did not answer within {seconds:.0f} seconds.")


@click.command("tick")
@with_appcontext
def tick() -> None:
    """What time brings, once: mails, and events left unhandled. Safe at any moment; run it each minute."""
    from portal import jobs

    for chore, count in jobs.tick().items():
        click.echo(f"  {chore:<12} {count}")


@credits_group.command("grant")
@click.argument("email", metavar="USER")
@click.argument("amount", type=click.IntRange(1, 10**9))
@click.option(
    "--expires", required=True, type=click.DateTime(["%Y-%m-%d"]), help="The last day that they are good, UTC."
)
@click.option("--note", default="", help="What for; the customer reads it.")
@click.option("--reference", default="", help="A name for this grant: the same again gives nothing.")
@click.option("--mode", type=click.Choice(["live", "test"]), default="live", show_default=True)
@click.option("--claim-mail", is_flag=True, help="Email who has no account the link that claims the credits.")
def grant_credits(
    email: str, amount: int, expires: datetime, note: str, reference: str, mode: str, claim_mail: bool
) -> None:
    """Give credits that expire to a mail address: its account, or whoever proves the address later."""
    from portal.accounts import links, people
    from portal.credits import grants

    if not people.is_address(people.normalised(email)):
        raise click.ClickException("This is not an email address, such as name@example.com.")
    until, reference = datetime.combine(expires, datetime.max.time(), UTC), reference or f"cli:{uuid.uuid4()}"
    customer = grants.holder(email, mode, reference)
    given = grants.give(customer.id, amount, until, reference, note)
    if claim_mail and not customer.user.is_claimed:
        links.mail_claim(customer.user)
    db.session.commit()
    click.echo(f"{email} has {given.amount:,} credits more until the end of {expires:%Y-%m-%d} UTC.")
    if not customer.user.is_claimed:
        click.echo("No account has proven this address: the credits wait for whoever does.")


@users_group.command("create-admin")
@click.argument("email")
@click.option("--role", type=click.Choice(["admin", "support"]), default="admin", show_default=True)
@click.password_option(help="Asked for where it is not given; a command line is seen by others.")
def create_admin(email: str, role: str, password: str) -> None:
    """Make somebody who works here, or give an existing user the role; their password is set anew."""
    from portal.accounts import staff

    staff.make(email, password, role)
    db.session.commit()
    click.echo(f"{email} has the role {role}.")


@users_group.command("set-role")
@click.argument("email")
@click.argument("role", type=click.Choice(["customer", "support", "admin"]))
@click.option("--reason", default="", help="Why, for the audit log. No personal data.")
def set_role(email: str, role: str, reason: str) -> None:
    """Give a user another role, or take it away: customers see no admin pages."""
    from portal.accounts import people, staff

    staff.give_role(people.named(email), role, reason)
    db.session.commit()
    click.echo(f"{email} has the role {role}.")


@users_group.command("remove-second-factor")
@click.argument("email")
def remove_second_factor(email: str) -> None:
    """Let a user who lost app and recovery codes in by the password alone; make sure that it is them."""
    from portal.accounts import people, second_factor

    second_factor.remove(people.named(email))
    db.session.commit()
    click.echo(f"{email} signs in by the password alone, until a second factor is set up again.")


@users_group.command("set-password")
@click.argument("email")
@click.password_option()
def set_password(email: str, password: str) -> None:
    """Give a user a new password; their sessions end."""
    from portal.accounts import people

    people.set_password(email, password)
    db.session.commit()
    click.echo(f"The password of {email} is changed, and every session ended.")
