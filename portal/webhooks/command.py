"""`flask events …`: the webhook inbox on the command line."""

from datetime import UTC, datetime, timedelta

import click

from portal import clock, gateway
from portal.commands import Commands
from portal.webhooks import masking, reading, rehearsing, replaying
from portal.webhooks.reading import Filter

KEPT = timedelta(days=30)  # by Stripe

group = Commands("events", help="The webhook inbox.")
MODE = click.Choice(gateway.MODES)


@group.command("list")
@click.option("--state", type=click.Choice(reading.STATES))
@click.option("--mode", type=MODE)
@click.option("--limit", type=click.IntRange(1, 1000), default=reading.PAGE, show_default=True)
def list_events(state: str | None, mode: str | None, limit: int) -> None:
    """The newest events, with what became of them."""
    found, _ = reading.page(Filter(state=state or "", mode=mode or ""), size=limit)
    for event in found:
        when = f"{event.received_at:%Y-%m-%d %H:%M:%S}Z"
        click.echo(f"{when}  {event.mode}  {event.state:<9}  {event.event_id}  {event.type}  {event.error or ''}")


@group.command("show")
@click.argument("event_id")
def show(event_id: str) -> None:
    """One event: its state, and its payload with what is secret or personal masked."""
    event = reading.by_id(event_id)
    click.echo(f"{event.event_id}  {event.type}  {event.mode}  {event.state}  attempts {event.attempts}")
    if event.error:
        click.echo(event.error)
    click.echo(masking.masked(event.payload))


@group.command("replay")
@click.argument("event_id")
@click.option("--dry-run", is_flag=True, help="Show what it would change, and change nothing.")
def replay(event_id: str, dry_run: bool) -> None:
    """Handle an event once more, whatever its state: it asks Stripe anew, so nothing happens twice."""
    event = reading.by_id(event_id)
    if not dry_run:
        click.echo(f"{event_id}  {replaying.replay(event)}")
        return
    rehearsed = rehearsing.rehearse(event)
    click.echo(f"{event_id}  would be {rehearsed.outcome}  {rehearsed.reason}".rstrip())
    for change in rehearsed.changes:
        click.echo(f"  {change.table} {change.id}{'' if change.before else ' (new)'}")
        for name, value in change.after.items():
            click.echo(f"    {name}: {change.before.get(name, '–')} → {masking.mail(str(value))}")


@group.command("retry")
def retry() -> None:
    """Handle everything that failed or was left `received`."""
    for event_id, status in replaying.retry():
        click.echo(f"{event_id}  {status}")


@group.command("backfill")
@click.option("--mode", type=MODE, default="live", show_default=True)
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]),
    help="UTC; default: 30 days ago, as far as Stripe remembers.",
)
def backfill(mode: str, since: datetime | None) -> None:
    """Fetch from Stripe what was never delivered, and handle it."""
    begin = since.replace(tzinfo=UTC) if since else clock.now() - KEPT
    for event_id, status in replaying.backfill(mode, begin):
        click.echo(f"{event_id}  {status}")
