"""`flask audit …`: verifying the audit log."""

import sys

import click

from portal.admin.audit import seals
from portal.commands import Commands

group = Commands("audit", help="The audit log.")


@group.command("seal")
def seal() -> None:
    """Seal entries that were written since the last seal. The scheduled tasks do so each hour."""
    made = seals.seal()
    if made is None:
        click.echo("Nothing to seal; what is younger than two minutes is left for the next time.")
    while made is not None:
        click.echo(f"Sealed {made.entries} entries up to number {made.last_id}: {made.digest}")
        made = seals.seal() if made.entries >= seals.MOST else None


@group.command("verify")
def verify() -> None:
    """Check for changed or missing entries. The exit status is 1 if there are any."""
    faults = list(seals.verify())
    for fault in faults:
        click.secho(fault, fg="red")
    if faults:
        sys.exit(1)
    click.echo("Every sealed entry is as it was written.")
    if last := seals.newest():
        click.echo(f"The last seal covers entries up to number {last.last_id}: {last.digest}")
