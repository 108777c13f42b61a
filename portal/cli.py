"""The `flask` commands."""

import os
import socket
import sys
import time
import urllib.error
import urllib.request
import uuid
from datetime import UTC, datetime

import click
from flask import Flask
from flask.cli import with_appcontext

from portal.accounts.commands import group as users_group
from portal.admin.audit.commands import group as audit_group
from portal.admin.jobs.commands import group as jobs_group
from portal.billing.price_changes.commands import migrate_price
from portal.catalogue import commands as catalogue_commands
from portal.catalogue.commands import group as catalogue_group
from portal.catalogue.commands import seed_plans
from portal.commands import MODE, Commands, audited
from portal.customers.commands import group as plans_group
from portal.doctor.commands import command as doctor
from portal.enums import Mode
from portal.extensions import ROOT, db
from portal.importer.commands import group as customers_group
from portal.importer.commands import moving_group
from portal.keys.commands import group as operator_keys_group
from portal.orders.commands import group as links_group
from portal.reconcile.commands import command as reconcile
from portal.settings import current_settings
from portal.settings.version import __version__
from portal.usage.commands import bill_month
from portal.usage.commands import usage as usage_group
from portal.webhooks.commands import endpoint_group
from portal.webhooks.commands import group as events_group

credits_group = Commands("credits", help="Prepaid credits.")


def init_app(app: Flask) -> None:
    """Register the commands."""
    # `flask db downgrade -1`, as in Alembic's own command line: click would parse -1 as an option.
    db_group = app.cli.commands["db"]
    assert isinstance(db_group, click.Group)
    db_group.commands["downgrade"].context_settings["ignore_unknown_options"] = True
    groups = (
        audit_group,
        catalogue_group,
        credits_group,
        customers_group,
        endpoint_group,
        events_group,
        jobs_group,
        links_group,
        moving_group,
        operator_keys_group,
        plans_group,
        usage_group,
        users_group,
    )
    catalogue_group.add_command(migrate_price)  # of a room above the catalogue
    for group in groups:
        app.cli.add_command(group)
    for command in (bill_month, doctor, reconcile, seed_plans, sandbox, start, tick, version):
        app.cli.add_command(command)


@click.command("version")
def version() -> None:
    """Print the portal's version."""
    click.echo(f"Portal {__version__}")


@click.command("sandbox")
@click.option("--port", type=int, help="Default: SANDBOX_PORT.")
@with_appcontext
def sandbox(port: int | None) -> None:
    """Run only the Stripe-compatible sandbox server."""
    from portal import settings as settings_module
    from portal.sandbox.config import Config, Endpoint
    from portal.sandbox.server import serve
    from portal.settings import instance

    if not current_settings().uses_sandbox:
        raise click.ClickException("A Stripe key is set, so the portal talks to Stripe and needs no sandbox.")
    instance.prepare(current_settings())
    given = settings_module.load()  # again, because at the first start the sandbox's keys were written just now
    base = f"http://127.0.0.1:{given.port}"
    endpoints = (
        Endpoint("live", f"{base}/api/webhooks/stripe", given.webhook_secrets(Mode.LIVE)[0]),
        Endpoint("test", f"{base}/api/webhooks/stripe-test", given.webhook_secrets(Mode.TEST)[0]),
    )
    serve(
        Config(
            port=port or given.sandbox_port,
            database=given.instance_path / "sandbox.db",
            live_key=given.secret_key_for(Mode.LIVE) or "",
            test_key=given.secret_key_for(Mode.TEST) or "",
            endpoints=endpoints,
        )
    )


@click.command("start")
@with_appcontext
def start() -> None:
    """Start the portal as `make run` does: wait for the sandbox, upgrade the database, load and push the
    catalogue, serve.

    With a live key nothing is created at Stripe: use `flask catalogue push`.
    """
    from flask_migrate import upgrade

    from portal.accounts import users

    if sys.platform == "win32":
        raise click.ClickException("Serving needs Linux, macOS or WSL; the other commands work here.")
    refuse_taken_port()
    entries = catalogue_commands.read()
    upgrade()
    catalogue_commands.load_and_commit(entries)
    if current_settings().uses_sandbox:
        wait_for(current_settings().stripe_api_base + "/healthz")
    catalogue_commands.push_what_can_be()
    passwords = users.ensure_people(current_settings())
    db.session.commit()
    db.engine.dispose()
    welcome({} if current_settings().is_production else passwords)
    # Named explicitly, because the working directory, where `.env` is, may be another one.
    here = ["--config", str(ROOT / "gunicorn.conf.py"), "--pythonpath", str(ROOT)]
    os.execv(sys.executable, [sys.executable, "-m", "gunicorn", *here, "wsgi:app"])  # noqa: S606


def refuse_taken_port() -> None:
    """Raise click's error if another process listens on PORT: a second start must not upgrade the database."""
    if "LISTEN_FDS" in os.environ:  # systemd listens, and hands the socket over
        return
    host, port = current_settings().host, current_settings().port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            words = f"Cannot listen on {host}, PORT={port}: {error.strerror}."
            raise click.ClickException(f"{words} Stop what listens there, or set another PORT.") from None


def welcome(passwords: dict[str, str]) -> None:
    """Print the two demo accounts at the first start. gunicorn.conf.py prints the URL once the portal listens."""
    click.echo()
    for email, password in passwords.items():
        click.echo(f"    {email:<24} {password}")
    if passwords:
        click.echo("\n  These passwords are shown this once.")
    if current_settings().uses_sandbox:
        click.echo(f"  The sandbox that replaces Stripe: {current_settings().checkout_origins[0]}\n")
        click.echo("  Cards, with any date ahead and any CVC: 4242 4242 4242 4242 pays, 4000 0000 0000 0002 is")
        click.echo("  declined, 4000 0025 0000 3155 asks for authentication. No money moves.\n")


def wait_for(url: str, seconds: float = 20) -> None:
    """Wait until the URL responds. Raises click's error if it does not in time."""
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
    """Run the scheduled tasks once, each minute by cron: emails, open events, expiries, top-ups.

    It is safe at any time, also concurrently.
    """
    from portal import jobs
    from portal.alerts import messages

    for task, count in jobs.tick().items():
        click.echo(f"  {task:<12} {count}")
    messages.wait()


@credits_group.command("grant")
@click.argument("email", metavar="USER")
@click.argument("amount", type=click.IntRange(1, 10**9))
@click.option(
    "--expires",
    required=True,
    type=click.DateTime(["%Y-%m-%d"]),
    help="The last day on which they are valid, UTC.",
)
@click.option("--note", default="", help="The reason; the customer can read it.")
@click.option("--reference", default="", help="A unique id of this grant; repeating it grants nothing.")
@click.option("--mode", type=MODE, default="live", show_default=True)
@click.option(
    "--claim-mail", is_flag=True, help="If the address has no account, email the link that claims the credits."
)
@audited
def grant_credits(
    email: str, amount: int, expires: datetime, note: str, reference: str, mode: Mode, claim_mail: bool
) -> None:
    """Grant credits that expire to an email address: to its account, or to whoever verifies the address later."""
    from portal.accounts import mailed_links, users
    from portal.credits import grants

    if not users.is_address(users.normalized(email)):
        raise click.ClickException("This is not an email address, such as name@example.com.")
    until, reference = datetime.combine(expires, datetime.max.time(), UTC), reference or f"cli:{uuid.uuid4()}"
    customer = grants.holder(email, mode, reference)
    given = grants.give(customer.id, amount, until, reference, note)
    if claim_mail and not customer.user.is_claimed:
        mailed_links.mail_claim(customer.user)
    db.session.commit()
    click.echo(f"{email} has {given.amount:,} credits more until the end of {expires:%Y-%m-%d} UTC.")
    if not customer.user.is_claimed:
        click.echo("No account has proven this address: the credits wait for whoever does.")
