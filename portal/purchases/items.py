"""What can be bought: a catalogue key, or a Stripe price that the settings allow."""

from dataclasses import dataclass

from sqlalchemy import bindparam, or_, select

from portal import gateway
from portal.errors import InvalidInput, StripeRefused, StripeUnavailable
from portal.extensions import db
from portal.models import Plan, Price
from portal.settings import current_settings

# Built once: each webhook about a subscription runs one.
TIER = {
    mode: select(Plan.tier).join(Price).where(column == bindparam("price"))
    for mode, column in (("live", Price.live_price_id), ("test", Price.test_price_id))
}


@dataclass(frozen=True)
class Item:
    """One thing on sale. `interval` is None for a one-time payment; the free plan has no `stripe_id`."""

    key: str
    kind: str
    name: str
    tier: str | None
    amount: int
    currency: str
    interval: str | None
    stripe_id: str | None
    metered: bool = False
    quantity: int = 1
    interval_count: int = 1
    credits: int | None = None  # what credits purchases give; None for other kinds
    trial_days: int = 0  # free before the price is due
    trial_needs_card: bool = True

    @property
    def is_free(self) -> bool:
        """Nothing to pay, so nothing for Stripe to do."""
        return self.amount == 0 and self.stripe_id is None


def find(word: str, mode: str, field: str = "price") -> Item:
    """What `word` names: `pro-monthly`, or a price id. Raises InvalidInput about `field` for what is not on sale.

    A price outside the catalogue is read from Stripe, so no transaction may be open; this one is committed.
    """
    price = _in_catalogue(word, mode)
    item = of_price(price, mode) if price else _from_stripe(word, mode) if _may_sell(word, mode) else None
    if item is None:
        words = "This is not on sale."
        raise InvalidInput(words, errors={field: words}, money="You were not charged.")
    return item


def is_allowed(stripe_id: str | None) -> bool:
    """Whether STRIPE_ALLOWED_PRICE_IDS lets this price be sold; unset, the whole catalogue is."""
    allowed = current_settings().allowed_price_ids
    return allowed is None or stripe_id in allowed


def tier_of(price: gateway.Price, mode: str) -> str | None:
    """The tier that a Stripe price gives: the catalogue's, the price map's, else its own `metadata.tier`."""
    return known_tier(price, mode) or price.tier


def known_tier(price: gateway.Price, mode: str) -> str | None:
    """The tier that the catalogue (withdrawn prices too: they were sold) or the price map gives a price."""
    tier = db.session.connection().execute(TIER[mode], {"price": price.id}).scalar_one_or_none()
    return tier or current_settings().price_map.get(price.id)


def plan_of(tier: str | None) -> Plan | None:
    """The plan of a tier, on sale or not; None for a tier outside the catalogue."""
    return db.session.execute(select(Plan).filter_by(tier=tier)).scalar_one_or_none()


def _in_catalogue(word: str, mode: str) -> Price | None:
    column = Price.live_price_id if mode == "live" else Price.test_price_id
    query = (
        select(Price)
        .join(Plan)
        .where(or_(Price.key == word, column == word), ~Price.withdrawn, ~Plan.withdrawn, ~Plan.hidden)
    )
    return db.session.execute(query).scalar_one_or_none()


def of_price(price: Price, mode: str) -> Item | None:
    """A price of the catalogue as it is sold; None where it is archived or forbidden. Raises StripeUnavailable."""
    stripe_id = price.stripe_id(mode)
    if price.is_archived(mode) or not is_allowed(stripe_id):
        return None
    if price.amount and stripe_id is None:
        raise StripeUnavailable(f"{price.plan.name} cannot be bought yet: its price is not at Stripe.")
    return Item(
        key=price.key,
        kind="plan",
        name=price.plan.name,
        tier=price.plan.tier,
        amount=price.amount,
        currency=price.currency,
        interval=price.interval,
        stripe_id=stripe_id if price.amount else None,
        trial_days=price.plan.trial_days if price.amount else 0,
        trial_needs_card=price.plan.trial_needs_card,
    )


def _may_sell(word: str, mode: str) -> bool:
    """Whether the settings have a price sold that the catalogue does not show.

    The price map says what a price gives, not that it is for sale: a hidden or withdrawn plan's is not.
    """
    settings = current_settings()
    if settings.allowed_price_ids is not None:
        return word in settings.allowed_price_ids
    return word in settings.price_map and db.session.execute(TIER[mode], {"price": word}).first() is None


def _from_stripe(price_id: str, mode: str) -> Item | None:
    db.session.commit()
    try:
        price = gateway.of(mode).price(price_id)
    except StripeRefused:  # unknown there, or of the other mode
        return None
    tier = current_settings().price_map.get(price.id) or price.tier
    amount = 0 if price.metered else price.amount  # what is used is paid later
    if not price.active or tier is None or amount is None:
        return None
    return Item(
        key=price.id,
        kind="plan",
        name=price.product_name or tier.capitalize(),
        tier=tier,
        amount=amount,
        currency=price.currency,
        interval=price.interval,
        stripe_id=price.id,
        metered=price.metered,
        interval_count=price.interval_count,
    )
