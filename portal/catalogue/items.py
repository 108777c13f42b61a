"""What can be ordered: a catalogue key, or a Stripe price that the settings allow."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from sqlalchemy import Select, and_, bindparam, or_, select

from portal import gateway, money
from portal.enums import Mode
from portal.errors import Conflict, InvalidInput, StripeRefused, StripeUnavailable
from portal.extensions import db
from portal.models import Plan, Price
from portal.settings import current_settings

ALSO_PRODUCT = "product"  # of a plan's `also`


def _plans_of_a_price(mode: Mode) -> Select[str, bool]:
    """Select the tiers of the plans that have this price, or whose product gives them, and whether it is by
    price.
    """
    is_live = mode == Mode.LIVE
    price_id = Price.live_price_id if is_live else Price.test_price_id
    product_id = Plan.live_product_id if is_live else Plan.test_product_id
    by_product = and_(Plan.also == ALSO_PRODUCT, product_id == bindparam("product"))
    own = and_(Price.plan_id == Plan.id, price_id == bindparam("price"))
    is_own = Price.id.is_not(None)
    return select(Plan.tier, is_own).outerjoin(Price, own).where(or_(is_own, by_product))


# Built once, because each webhook about a subscription runs one.
PLANS_OF_A_PRICE = {mode: _plans_of_a_price(mode) for mode in Mode}


class TierSource(IntEnum):
    """What gives a price its tier, the strongest first."""

    PRICE_MAP = 1
    CATALOGUE = 2  # including withdrawn prices, which were sold
    PRODUCT = 3  # of a plan with `also = "product"`
    METADATA = 4  # the price's own `metadata.tier`, which another product of the account may use too


class Archived(Conflict):
    """The price is archived at Stripe. `offered` is what is sold instead: key → name and price in words.

    The problem's `on_offer` lists the keys.
    """

    code = "price_archived"
    title = "This price is no longer sold"

    def __init__(self, name: str, offered: dict[str, str], action: tuple[str, str]) -> None:
        instead = f" On offer now: {'; '.join(offered.values())}." if offered else ""
        words = f"This price of {name} is no longer sold.{instead}"
        super().__init__(words, money="You were not charged.", action=action, on_offer=list(offered))


@dataclass(frozen=True)
class Item:
    """Something on sale. `interval` is None for a one-time payment. The free plan has no `stripe_id`."""

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
    credits: int | None = None  # the credits that the order grants; None for other kinds
    trial_days: int = 0  # free before the price is due
    trial_needs_card: bool = True

    @property
    def is_free(self) -> bool:
        """Return whether there is nothing to pay, and so no call to Stripe."""
        return self.amount == 0 and self.stripe_id is None


def find(word: str, mode: Mode, field: str = "price") -> Item:
    """Return the item that `word` names: `pro-monthly`, or a price id.

    A price outside the catalogue is fetched from Stripe, so no transaction may be open; this one is committed.
    Raises InvalidInput about `field` for something that is not on sale, and Archived.
    """
    price = _in_catalogue(word, mode)
    if price and price.is_archived(mode) and is_allowed(price.stripe_id(mode)):
        raise archived(price.plan.name, mode)
    item = of_price(price, mode) if price else _from_stripe(word, mode) if _may_sell(word, mode) else None
    if item is None:
        words = "This is not on sale."
        raise InvalidInput(words, errors={field: words}, money="You were not charged.")
    return item


def is_allowed(stripe_id: str | None) -> bool:
    """Return whether STRIPE_ALLOWED_PRICE_IDS allows this price. If unset, it allows the whole catalogue."""
    allowed = current_settings().allowed_price_ids
    return allowed is None or stripe_id in allowed


def tier_of(price: gateway.Price, mode: Mode) -> str | None:
    """Return the tier of a Stripe price; None if nothing gives it one."""
    found = tier_and_source(price, mode)
    return found[1] if found else None


def known_tier(price: gateway.Price, mode: Mode) -> str | None:
    """Return the tier that the settings or the catalogue assign to a price, whatever its metadata says."""
    found = tier_and_source(price, mode)
    return found[1] if found and found[0] != TierSource.METADATA else None


def tier_and_source(price: gateway.Price, mode: Mode) -> tuple[TierSource, str] | None:
    """Return the tier of a Stripe price and what gives it. Of a subscription's items, the lowest source decides.

    A product gives no tier to a one-time price, such as a fee, and none if several plans share it
    (STRIPE_TEST_PRODUCT_ID).
    """
    if mapped := current_settings().price_map.get(price.id):
        return TierSource.PRICE_MAP, mapped
    asked = {"price": price.id, "product": price.product}
    found = db.session.connection().execute(PLANS_OF_A_PRICE[mode], asked).all()
    if own := next((tier for tier, is_own in found if is_own), None):
        return TierSource.CATALOGUE, own
    if len(found) == 1 and price.interval:
        return TierSource.PRODUCT, found[0].tier
    return (TierSource.METADATA, price.tier) if price.tier else None


def archived(name: str, mode: Mode) -> Archived:
    """Return the error that refuses a price that Stripe has archived, with what can be bought instead."""
    offered = {one.key: f"{one.name} ({_cost(one)})" for one in on_offer(mode)}
    return Archived(name, offered, ("/pricing", "See the plans"))


def on_offer(mode: Mode) -> Iterator[Item]:
    """Yield the plans of the pricing page, each price as it is sold."""
    query = select(Price).join(Plan).where(~Price.withdrawn, ~Plan.withdrawn, ~Plan.hidden)
    for price in db.session.execute(query.order_by(Plan.position, Price.id)).scalars():
        if price.stripe_id(mode) and (item := of_price(price, mode)):
            yield item


def _cost(item: Item) -> str:
    cost = money.text(item.amount, item.currency, short=True)
    return f"{cost} {money.every(item.interval, item.interval_count)}" if item.interval else cost


def plan_of(tier: str | None) -> Plan | None:
    """Return the plan of a tier, on sale or not; None for a tier outside the catalogue."""
    return db.session.execute(select(Plan).filter_by(tier=tier)).scalar_one_or_none()


def _in_catalogue(word: str, mode: Mode) -> Price | None:
    column = Price.live_price_id if mode == Mode.LIVE else Price.test_price_id
    query = (
        select(Price)
        .join(Plan)
        .where(or_(Price.key == word, column == word), ~Price.withdrawn, ~Plan.withdrawn, ~Plan.hidden)
    )
    return db.session.execute(query).scalar_one_or_none()


def sold(mode: Mode, line: gateway.SessionLine) -> Item | None:
    """Return the plan that a session's line sold, on sale or not; None if its price gives none here.

    The amount is the catalogue's, if it has the price.
    """
    price = line.price
    column = Price.live_price_id if mode == Mode.LIVE else Price.test_price_id
    row = db.session.execute(select(Price).where(column == price.id)).scalar_one_or_none()
    if row is not None:
        return _item(row, price.id)
    return of_stripe_price(price, mode) if known_tier(price, mode) or _may_sell(price.id, mode) else None


def of_price(price: Price, mode: Mode) -> Item | None:
    """Return the item of a price as it is sold; None if it is archived or not allowed. Raises
    StripeUnavailable.
    """
    stripe_id = price.stripe_id(mode)
    if price.is_archived(mode) or not is_allowed(stripe_id):
        return None
    if price.amount and stripe_id is None:
        raise StripeUnavailable(f"{price.plan.name} cannot be bought yet: its price is not at Stripe.")
    return _item(price, stripe_id)


def _item(price: Price, stripe_id: str | None) -> Item:
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


def _may_sell(word: str, mode: Mode) -> bool:
    """Return whether the settings allow a price that the catalogue does not show.

    The price map says what a price grants, not that it is on sale: the price of a hidden or withdrawn plan is not.
    """
    settings = current_settings()
    if settings.allowed_price_ids is not None:
        return word in settings.allowed_price_ids
    column = Price.live_price_id if mode == Mode.LIVE else Price.test_price_id
    in_catalogue = select(Price.id).where(column == word)
    return word in settings.price_map and db.session.execute(in_catalogue).first() is None


def _from_stripe(price_id: str, mode: Mode) -> Item | None:
    db.session.commit()
    try:
        price = gateway.of(mode).price(price_id)
    except StripeRefused:  # unknown at Stripe, or of the other mode
        return None
    if not price.active:
        raise archived(price.product_name, mode)
    item = of_stripe_price(price, mode)
    db.session.commit()
    return item


def of_stripe_price(price: gateway.Price, mode: Mode) -> Item | None:
    """Return a price as it is sold, by Stripe's description; None if it is archived or has no fixed amount."""
    amount = 0 if price.metered else price.cost(1)  # usage is paid later
    if amount is None or not price.active:
        return None
    tier = tier_of(price, mode)
    return Item(
        key=price.id,
        kind="plan",
        name=price.product_name or (tier or price.id).capitalize(),
        tier=tier,
        amount=amount,
        currency=price.currency,
        interval=price.interval,
        stripe_id=price.id,
        metered=price.metered,
        interval_count=price.interval_count,
    )
