"""`flask plans …`: plans that are given to customers without a payment."""

from datetime import UTC, datetime

import click

from portal.commands import MODE, Commands, audited, explained
from portal.customers import given_plans, owners
from portal.enums import Mode
from portal.errors import NotFound
from portal.extensions import db
from portal.models import Customer

group = Commands("plans", help="Plans given to customers without a payment.")


@group.command("give")
@click.argument("customer", metavar="CUSTOMER")
@click.argument("plan")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help="The last day, UTC; default: until you end it.")
@click.option("--mode", type=MODE, default="live", show_default=True)
@audited
def give(customer: str, plan: str, until: datetime | None, mode: Mode) -> None:
    """Give the plan of a tier to CUSTOMER: an email address, or a customer id.

    The same plan again changes its end; another plan replaces the one before. An address that no account has
    proven keeps the plan for whoever proves it.
    """
    found = _customer(customer, mode)
    given_plans.give(found, plan, datetime.combine(until, datetime.max.time(), UTC) if until else None)
    db.session.commit()
    words = f"until the end of {until:%Y-%m-%d} UTC" if until else "until you end it"
    click.echo(f"{customer} has {plan} {words}.")
    if not found.user.is_claimed:
        click.echo("No account has proven this address: the plan waits for whoever does.")


@group.command("end")
@click.argument("customer", metavar="CUSTOMER")
@click.option("--mode", type=MODE, default="live", show_default=True)
@explained
def end(customer: str, mode: Mode) -> None:
    """End the plan that was given to CUSTOMER: an email address, or a customer id."""
    ended = given_plans.end(_customer(customer, mode))
    db.session.commit()
    click.echo(f"{customer} has {ended.tier} no longer.")


def _customer(word: str, mode: Mode) -> Customer:
    """Return the customer of an address or id. Raises NotFound."""
    if owners.is_address(owners.normalized(word)):
        return given_plans.holder(word, mode)
    found = db.session.get(Customer, int(word)) if word.isascii() and word.isdigit() and len(word) < 19 else None
    if found is None or found.mode != mode or found.user.deleted_at:
        raise NotFound(f"There is no customer in {mode} mode with this id, and it is not an email address.")
    return found
