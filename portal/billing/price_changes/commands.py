"""`flask catalogue migrate-price`: moving subscribers from a previous price to the one on sale."""

import click
from flask.cli import with_appcontext

from portal import money
from portal.billing.price_changes import notices
from portal.billing.price_changes.notices import Listed
from portal.catalogue.commands import somebody_can_be_asked
from portal.commands import MODE, audited
from portal.enums import Mode
from portal.extensions import db
from portal.models import Price

SHOWN = 20  # of those that are left out, of each reason


@click.command("migrate-price")
@click.option("--from", "old", required=True, help="The previous price: its id at Stripe.")
@click.option("--to", "new", required=True, help="The price on sale: its id at Stripe, its key or its lookup key.")
@click.option("--notice-days", type=click.IntRange(0, 366), default=30, show_default=True)
@click.option("--mode", type=MODE, default="live", show_default=True)
@click.option("--dry-run", is_flag=True, help="Only list who would be told and who is left out.")
@click.option("--yes", is_flag=True, help="Tell the customers without asking.")
@with_appcontext
@audited
def migrate_price(old: str, new: str, notice_days: int, mode: Mode, dry_run: bool, yes: bool) -> None:
    """Tell subscribers that their price changes, and change it at the first renewal after the notice.

    Lists them first, and asks. Subscriptions that end or have a schedule are left out. It can be repeated.
    """
    before, after = notices.find(old, mode, "from"), notices.find(new, mode, "to")
    notices.check(before, after, mode)
    rows = notices.listed(before, after, mode)
    click.echo(f"{before.plan.name}: from {_cost(before)} to {_cost(after)}, {notice_days} days' notice.")
    told = [one for one in rows if not one.left_out]
    _show(rows, told)
    db.session.commit()
    if dry_run or not told:
        return
    if not yes:
        if not somebody_can_be_asked():
            raise click.ClickException("Nobody was told: say --yes where nobody can be asked.")
        click.confirm(f"Email {len(told)} customers and change their price?", abort=True)
    done = sum(notices.give(one, before, after, mode, notice_days) for one in told)
    changed = f"; {len(told) - done} had changed meanwhile" if done < len(told) else ""
    click.echo(f"{done} customers are told{changed}.")


def _cost(price: Price) -> str:
    return f"{money.text(price.amount, price.currency)} {money.every(price.interval)}"


def _show(rows: list[Listed], told: list[Listed]) -> None:
    for one in told:
        click.echo(f"  {one.stripe_id}  customer {one.customer_id}")
    click.echo(f"{len(told)} subscriptions change their price.")
    for reason, number in notices.counted(rows):
        click.echo(f"Left out, {reason}: {number}")
        for one in [one for one in rows if one.left_out == reason][:SHOWN]:
            click.echo(f"  {one.stripe_id}  customer {one.customer_id}")
