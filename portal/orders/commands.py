"""Payment Links on the command line."""

import click

from portal.commands import MODE, Commands
from portal.enums import Mode

group = Commands("payment-link", help="Selling without a website.")


@group.command("create")
@click.option("--tier", required=True, help="The plan's tier, such as pro.")
@click.option("--cycle", type=click.Choice(["month", "year"]), help="Default: monthly, if there are both.")
@click.option("--mode", type=MODE, default="live", show_default=True)
@click.option(
    "--price", default="", help="The Stripe price to sell; default: STRIPE_PRICE_MAP's, then the catalogue's."
)
@click.option(
    "--allow-hidden", "--allow-pro", is_flag=True, help="Sell a plan that the pricing page does not show."
)
@click.option("--base-url", default="", help="The portal's URL for the success page; default: BASE_URL.")
def create_link(tier: str, cycle: str | None, mode: Mode, price: str, allow_hidden: bool, base_url: str) -> None:
    """Create a Payment Link that redirects to the success page, and print its URL."""
    from portal.orders import payment_links

    made = payment_links.create(tier, mode, cycle=cycle, allow_hidden=allow_hidden, base_url=base_url, price=price)
    click.echo(made)
