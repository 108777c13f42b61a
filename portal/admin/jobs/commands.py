"""`flask jobs list` and `flask jobs retry`: the rows that wait to be handled, or failed."""

import click

from portal import jobs
from portal.commands import Commands

MOST = 1000

group = Commands("jobs", help="Events, mails and bills that wait to be handled.")


@group.command("list")
@click.option("--limit", type=click.IntRange(1, MOST), default=50, show_default=True, help="Of each kind.")
def list_jobs(limit: int) -> None:
    """List what waits or failed, oldest first."""
    for job in jobs.waiting(limit):
        due = f"due {job.due_at:%Y-%m-%d %H:%M:%S}Z" if job.due_at else ""
        words = (f"{job.kind} {job.id}", f"{job.since:%Y-%m-%d %H:%M:%S}Z", job.state, f"attempts {job.attempts}")
        click.echo("  ".join(part for part in (*words, job.about, due, job.error) if part))


@group.command("retry")
@click.argument("kind", required=False)
@click.argument("number", type=int, required=False)
def retry(kind: str | None, number: int | None) -> None:
    """Handle what waits or failed now: everything, or one row, such as `event 12` of `flask jobs list`."""
    if kind is not None and number is not None:
        click.echo(f"{kind} {number}  {jobs.retry(kind, number)}")
        return
    if kind is not None:
        raise click.UsageError("Name a kind and a number, or neither.")
    for job, outcome in jobs.retry_all(MOST):
        click.echo(f"{job.kind} {job.id}  {outcome}")
