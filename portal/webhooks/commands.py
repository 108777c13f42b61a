"""`flask events …` and `flask webhooks push`: the inbox and the endpoint at Stripe on the command line."""

from datetime import UTC, datetime, timedelta

import click

from portal import clock
from portal.commands import MODE, Commands
from portal.enums import Mode
from portal.models import EventState
from portal.webhooks import dry_runs, endpoint, hints, masking, replays, search
from portal.webhooks.search import Filter
from portal.webhooks.views import SECRET_NAMES

KEPT = timedelta(days=30)  # by Stripe

group = Commands("events", help="The webhook inbox.")
endpoint_group = Commands("webhooks", help="The webhook endpoint at Stripe.")


@group.command("list")
@click.option("--state", type=click.Choice([state.value for state in EventState]))
@click.option("--mode", type=MODE)
@click.option("--limit", type=click.IntRange(1, 1000), default=search.PAGE, show_default=True)
def list_events(state: str | None, mode: Mode | None, limit: int) -> None:
    """List the newest events and their states."""
    found, _ = search.page(Filter(state=state or "", mode=mode or ""), size=limit)
    for event in found:
        when = f"{event.received_at:%Y-%m-%d %H:%M:%S}Z"
        click.echo(f"{when}  {event.mode}  {event.state:<9}  {event.event_id}  {event.type}  {event.error or ''}")


@group.command("show")
@click.argument("event_id")
def show(event_id: str) -> None:
    """Show one event, its error, and its payload with secrets and personal data masked."""
    event = search.by_id(event_id)
    click.echo(f"{event.event_id}  {event.type}  {event.mode}  {event.state}  attempts {event.attempts}")
    if event.error:
        click.echo(event.error)
    click.echo(masking.masked(event.payload) or hints.REMOVED)


@group.command("replay")
@click.argument("event_id")
@click.option("--dry-run", is_flag=True, help="Show what it would change, without changing anything.")
def replay(event_id: str, dry_run: bool) -> None:
    """Handle an event again, whatever its state. It fetches from Stripe again, so nothing happens twice."""
    event = search.by_id(event_id)
    if not dry_run:
        click.echo(f"{event_id}  {replays.replay(event)}")
        return
    rehearsed = dry_runs.rehearse(event)
    click.echo(f"{event_id}  would be {rehearsed.outcome}  {rehearsed.reason}".rstrip())
    for change in rehearsed.changes:
        click.echo(f"  {change.table} {change.id}{'' if change.before else ' (new)'}")
        for name, value in change.after.items():
            click.echo(f"    {name}: {change.before.get(name, '–')} → {masking.mail(str(value))}")


@group.command("retry")
def retry() -> None:
    """Handle every event that failed or was left `received`."""
    for event_id, status in replays.retry():
        click.echo(f"{event_id}  {status}")


@group.command("backfill")
@click.option("--mode", type=MODE, default="live", show_default=True)
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]),
    help="UTC; default: 30 days ago, as long as Stripe keeps events.",
)
def backfill(mode: Mode, since: datetime | None) -> None:
    """Fetch events that were never delivered from Stripe, and handle them."""
    begin = since.replace(tzinfo=UTC) if since else clock.now() - KEPT
    for event_id, status in replays.backfill(mode, begin):
        click.echo(f"{event_id}  {status}")


@endpoint_group.command("push")
@click.option("--url", default="", help="The endpoint's URL; default: BASE_URL with /api/webhooks/stripe.")
@click.option("--mode", type=MODE, default="live", show_default=True)
@click.option("--dry-run", is_flag=True, help="List what is missing, without changing anything.")
def push_endpoint(url: str, mode: Mode, dry_run: bool) -> None:
    """Create the webhook endpoint at Stripe, or add missing events to it. Removes none."""
    done = endpoint.push(mode, url, dry_run=dry_run)
    click.echo(f"  {done.url}  {done.what}")
    if done.what in ("extended", "incomplete"):
        for kind in done.added:
            click.echo(f"    {kind}")
    if not done.is_enabled:
        click.echo("  It is disabled: enable it in the Stripe Dashboard.")
    if done.secret:
        click.echo("  Its signing secret, which is shown this once:")
        click.echo(f"  {SECRET_NAMES[mode]}={done.secret}")
