"""Prices of STRIPE_ALLOWED_PRICE_IDS outside the catalogue, as Stripe describes them."""

from dataclasses import dataclass

from sqlalchemy import or_, select

from portal import gateway
from portal.billing.pricing import stripe_prices
from portal.catalogue import items
from portal.catalogue.items import Item
from portal.enums import Mode
from portal.extensions import db
from portal.models import Price
from portal.settings import current_settings


@dataclass(frozen=True)
class Allowed:
    """What can be bought now. `is_complete` is False if Stripe did not describe all of it."""

    offered: list[tuple[Item, gateway.Price]]
    is_complete: bool = True


def on_sale(currency: str | None = None) -> Allowed:
    """Return the allowed prices that the catalogue does not have, cheapest first. Ends the transaction.

    They are in `currency` where they have it.
    """
    wanted = _outside_the_catalogue()
    db.session.commit()
    if not wanted:
        return Allowed([])
    described = stripe_prices.described(Mode.LIVE, wanted)
    found = [price.within(currency) or price for price in described.prices.values() if price]
    offered = [(item, price) for price in found if (item := items.of_stripe_price(price, Mode.LIVE))]
    db.session.commit()
    return Allowed(sorted(offered, key=lambda one: (one[0].amount, one[0].key)), described.is_complete)


def _outside_the_catalogue() -> list[str]:
    """Return the allowed ids without those of the catalogue, which has its own rules for what is shown."""
    allowed = current_settings().allowed_price_ids or frozenset()
    if not allowed:
        return []
    known = or_(Price.live_price_id.in_(allowed), Price.test_price_id.in_(allowed))
    rows = db.session.execute(select(Price.live_price_id, Price.test_price_id).where(known)).all()
    return sorted(allowed - {one for row in rows for one in row})
