"""`flask customers import`: what a Stripe account has becomes ours."""

from collections import Counter

import click

from portal import gateway
from portal.adoption import adopting
from portal.adoption.adopting import Outcome, Wish
from portal.commands import Commands
from portal.errors import StripeUnavailable
from portal.mail import masked
from portal.webhooks import replaying

group = Commands("customers", help="Who pays.")

ASIDE = ("without a mail address", "of the other mode")


@group.command("import")
@click.option("--mode", type=click.Choice(gateway.MODES), default="live", show_default=True)
@click.option("--dry-run", is_flag=True, help="Say what would be done, write nothing.")
@click.option("--claim-mails", is_flag=True, help="Email each new user the link that claims the account.")
def command(mode: str, dry_run: bool, claim_mails: bool) -> None:
    """Adopt the customers and running subscriptions of the Stripe account, and replay their parked events.

    Run again it goes on, and changes nothing that is done.
    """
    try:
        _import(mode, Wish(dry_run=dry_run, claim_mails=claim_mails))
    except StripeUnavailable as error:
        raise click.ClickException(f"{error.detail} What is done stays done: run it again to go on.") from None


def _import(mode: str, wish: Wish) -> None:
    counts: Counter[str] = Counter()
    for outcome in adopting.people(mode, wish):
        counts[outcome.what] += 1
        if outcome.what in ASIDE:
            click.echo(_line(outcome))
    for what, count in sorted(counts.items()):
        click.echo(f"  customers {what:<24} {count}")
    if wish.dry_run:
        click.echo("Nothing was written.")
        return
    ours = Counter(adopting.plans(mode))
    click.echo(f"  subscriptions read             {ours[True]}")
    click.echo(f"  subscriptions of nobody here   {ours[False]}")
    click.echo(f"  parked events handled          {_replay()}")


def _line(outcome: Outcome) -> str:
    return f"{outcome.stripe_id}  {masked(outcome.email)}  {outcome.what}"


def _replay() -> int:
    """Handle what was parked until its customer became ours, all of it: an event is tried a few times only."""
    done = 0
    while found := replaying.sweep():
        done += found
    return done
