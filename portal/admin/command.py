"""`flask audit …`: proving the audit log."""

import sys

import click

from portal.admin import sealing
from portal.commands import Commands

group = Commands("audit", help="The audit log.")


@group.command("seal")
def seal() -> None:
    """Seal what was written since the last seal; the ticker does so each hour."""
    made = sealing.seal()
    if made is None:
        click.echo("Nothing to seal; what is younger than two minutes is left for the next time.")
    else:
        click.echo(f"Sealed {made.entries} entries up to number {made.last_id}: {made.digest}")


@group.command("verify")
def verify() -> None:
    """Look for entries that were changed or are missing; exit status 1 where there are any."""
    faults = list(sealing.verify())
    for fault in faults:
        click.secho(fault, fg="red")
    if faults:
        sys.exit(1)
    click.echo("Every sealed entry is as it was written.")
    if last := sealing.newest():
        click.echo(f"The last seal covers entries up to number {last.last_id}: {last.digest}")
