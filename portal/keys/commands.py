"""`flask operator-keys`: the credentials of the operator's own services."""

from datetime import UTC, datetime

import click
from rich.console import Console
from rich.table import Table

from portal import clock
from portal.commands import Commands, audited
from portal.extensions import db
from portal.keys import operator_keys
from portal.models.key import OPERATOR_SCOPES

group = Commands("operator-keys", help="Keys of your own services; they belong to no customer.")


@group.command("create")
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice(OPERATOR_SCOPES),
    help="What the key may do; repeat the option for several scopes.",
)
@click.option(
    "--expires", type=click.DateTime(["%Y-%m-%d"]), help="The last day on which it works, UTC. Default: no expiry."
)
@audited
def create(name: str, scopes: tuple[str, ...], expires: datetime | None) -> None:
    """Create a key and print it once. The key goes to stdout, everything else to stderr."""
    until = None if expires is None else datetime.combine(expires, datetime.max.time(), UTC)
    key, secret = operator_keys.create(name, scopes, until)
    db.session.commit()
    ends = f"until the end of {until:%Y-%m-%d} UTC" if until else "until you revoke it"
    click.echo(f"Operator key {key.id} for {', '.join(key.scopes)}, good {ends}.", err=True)
    click.echo("Store it now: it is not shown again.", err=True)
    click.echo(secret)


@group.command("list")
def show() -> None:
    """List every key, without its secret."""
    now = clock.now()
    table = Table(box=None, pad_edge=False)
    for title in ("ID", "Name", "Key", "Scopes", "State", "Expires", "Last used"):
        table.add_column(title, overflow="fold")
    for key in operator_keys.everyone():
        state = operator_keys.state(key, now)
        table.add_row(
            str(key.id),
            key.name,
            f"{key.prefix}…",
            " ".join(key.scopes),
            state,
            *map(_day, (key.expires_at, key.last_used_at)),
        )
    Console(soft_wrap=True).print(table) if table.row_count else click.echo("There are no operator keys.")


@group.command("revoke")
@click.argument("key_id", type=int, metavar="ID")
@audited
def revoke(key_id: int) -> None:
    """Revoke a key now. To replace one, create a new key, deploy it, then revoke the old one."""
    key = operator_keys.revoke(key_id)
    db.session.commit()
    click.echo(f"Operator key {key.id} ({key.name}) is revoked.")


def _day(moment: datetime | None) -> str:
    return "never" if moment is None else f"{moment:%Y-%m-%d}"
