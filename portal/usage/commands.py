"""`flask bill-month` and `flask usage check`."""

import sys

import click
from flask import current_app
from flask.cli import with_appcontext
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from portal import clock, money, quantities
from portal.commands import Commands
from portal.errors import PortalError
from portal.usage.events import sum_checks
from portal.usage.monthly_run import runs
from portal.usage.monthly_run.claims import Draft
from portal.usage.monthly_run.months import Month
from portal.usage.monthly_run.runs import Summary

WORKERS = 4
WORDS = {
    "invoiced": "invoiced",
    "nothing": "with nothing left to invoice",
    "failed": "failed",
    "handed over": "handed to workers; repeat the command to see their results",
    "done": "done meanwhile by another run",
    "elsewhere": "in the hands of another run",
}

usage = Commands("usage", help="Metered usage.")


def _month(_context: click.Context, _parameter: click.Parameter, value: str | None) -> Month:
    """Return the requested month, else the last complete month in UTC."""
    if value is None:
        return Month.of(clock.now()).previous
    try:
        return Month.read(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command("bill-month")
@click.argument("month", required=False, metavar="[YYYY-MM]", callback=_month)
@click.option(
    "--dry-run", is_flag=True, help="List what would be billed, without writing anything or calling Stripe."
)
@click.option("--workers", type=click.IntRange(1, 32), default=WORKERS, show_default=True)
@with_appcontext
def bill_month(month: Month, dry_run: bool, workers: int) -> None:
    """Bill a month of usage. No customer is billed twice, however often it runs."""
    try:
        if dry_run:
            _preview(month)
        else:
            _report(month, _run(month, workers))
    except PortalError as error:
        raise click.ClickException(error.for_operator) from None


def _preview(month: Month) -> None:
    bills, total, currency = 0, 0, ""
    for draft in runs.preview(month):
        click.echo(_described(draft))
        bills, total, currency = bills + 1, total + draft.amount, draft.currency
    amount = money.text(total, currency) if bills else "nothing"
    click.echo(f"{month.words}: {bills:,} bills, {amount}. This was a dry run.")


def _described(draft: Draft) -> str:
    lines = " · ".join(
        f"{line.meter.key} {quantities.text(quantities.joined(line.units, line.nanos))}" for line in draft.lines
    )
    return f"  customer {draft.customer_id:<8} {money.text(draft.amount, draft.currency):>14}  {lines}"


def _run(month: Month, workers: int) -> Summary:
    columns = (TextColumn(month.words), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=None)
        return runs.run(
            current_app._get_current_object(),  # type: ignore[attr-defined]
            month,
            workers=workers,
            begun=lambda count: progress.update(task, total=count),
            done=lambda count: progress.advance(task, count),
        )


def _report(month: Month, summary: Summary) -> None:
    for currency, (bills, amount) in summary.totals.items():
        click.echo(f"{month.words}: {bills:,} bills, {money.text(amount, currency)}.")
    if not summary.totals:
        click.echo(f"{month.words}: nobody used anything.")
    for outcome, count in summary.outcomes.items():
        click.echo(f"  {count:>8,} {WORDS[outcome]}")
    for customer_id, why in summary.failures:
        click.secho(f"  customer {customer_id}: {why}", fg="red", err=True)
    if not summary.is_clean:
        click.echo("Run it again for those who failed.", err=True)
        sys.exit(1)


@usage.command("check")
def check() -> None:
    """Compare the daily totals with the events. The exit status is 1 if they differ."""
    found = sum_checks.differences()
    for one in found:
        click.echo(
            f"customer {one.customer_id}, meter {one.meter_id}, {one.day}, billed with {one.month}: "
            f"events {one.counted_units}+{one.counted_nanos}, day {one.stored_units}+{one.stored_nanos}"
        )
    click.echo(f"{len(found):,} days differ." if found else "Every day is the sum of its events.")
    sys.exit(1 if found else 0)
