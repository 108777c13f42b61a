"""Payment Links (seed 1): making one, and the buyers who come through one without an account."""

from urllib.parse import urlsplit

import structlog
from sqlalchemy import select

from portal import clock, gateway, mail, money
from portal.customers import owners
from portal.errors import InvalidInput, StripeRefused
from portal.extensions import db
from portal.models import Customer, PaymentLink, Plan, Price, Purchase
from portal.models.purchase import new_number
from portal.purchases import claims, customers, items
from portal.settings import current_settings

log = structlog.get_logger()

SUCCESS = "/billing/success?session_id={CHECKOUT_SESSION_ID}"


def create(
    tier: str,
    mode: str,
    *,
    cycle: str | None = None,
    allow_hidden: bool = False,
    base_url: str = "",
    price: str = "",
) -> str:
    """A new link that sells this tier and lands on the success page; gives its address. Commits.

    It sells `price` where one is named, else the price map's (live mode), else the catalogue's. Without a `cycle`
    the monthly one of several. Raises InvalidInput for a tier that is unknown, hidden (without `allow_hidden`),
    free or not yet at Stripe, and for a price that does not give it.
    """
    plan = items.plan_of(tier)
    if plan is not None and plan.hidden and not allow_hidden:
        raise InvalidInput(f"{plan.name} is hidden. Add --allow-hidden to sell it by a link all the same.")
    sold = _given_price(tier, mode, cycle, price) or _catalogue_price(tier, mode, cycle or "month")
    base = base_url.rstrip("/") or current_settings().base_url
    if urlsplit(base).scheme not in ("http", "https"):
        raise InvalidInput("The base URL is an http(s) address, such as https://api.example.com.")
    link = PaymentLink(
        mode=mode,
        price_id=sold,
        tier=tier,
        success_url=base + SUCCESS,
        created_at=clock.now(),
    )
    db.session.add(link)
    db.session.commit()
    made = claims.call(link, lambda key: gateway.of(mode).create_payment_link(_params(link), key))
    link.stripe_id, link.url = made.id, made.url
    db.session.commit()
    return made.url


def _given_price(tier: str, mode: str, cycle: str | None, named: str) -> str | None:
    """The id of the price that the command or the price map gives for this tier; None where neither does.

    The map is the live account's. Asks Stripe how often each is paid; commits.
    """
    ids = [named] if named else [one for one, gives in current_settings().price_map.items() if gives == tier]
    if mode == "test" and not named:
        return None
    db.session.commit()
    found = [_read_price(one, tier, mode) for one in ids]
    fitting = [price for price in found if cycle in (None, price.interval)]
    if len(fitting) > 1:
        fitting = [price for price in fitting if price.interval == (cycle or "month")] or fitting
    if len(fitting) > 1:
        ids = [price.id for price in fitting]
        raise InvalidInput(
            f"The price map has several prices for {tier}: add --price with one of {', '.join(ids)}."
        )
    if named and not fitting:
        raise InvalidInput(f"{named} is paid {money.cycle(found[0].interval, found[0].interval_count)}.")
    return fitting[0].id if fitting else None


def _read_price(price_id: str, tier: str, mode: str) -> gateway.Price:
    """A price as Stripe has it. Raises InvalidInput for one that could not be sold, or would not give the tier."""
    try:
        price = gateway.of(mode).price(price_id)
    except StripeRefused:
        raise InvalidInput(f"Stripe has no price {price_id} in {mode} mode.") from None
    gives = items.known_tier(price, mode)
    db.session.commit()
    if gives != tier:
        words = f"It gives {gives}." if gives else f"Add {price_id}:{tier} to STRIPE_PRICE_MAP, so that it does."
        raise InvalidInput(f"{price_id} does not give {tier}. {words}")
    if not price.active or price.metered:
        words = "metered, which a link does not sell" if price.metered else "archived at Stripe"
        raise InvalidInput(f"{price_id} is {words}.")
    return price


def _catalogue_price(tier: str, mode: str, cycle: str) -> str:
    query = select(Price).join(Plan).where(Plan.tier == tier, ~Plan.withdrawn, ~Price.withdrawn)
    prices = {price.interval: price for price in db.session.execute(query).scalars()}
    price = prices.get(cycle)
    if price is None:
        raise InvalidInput(f"The catalogue has no {tier} plan paid by the {cycle}.")
    if price.amount == 0 and not price.plan.hidden:
        raise InvalidInput(f"{price.plan.name} costs nothing, so there is nothing to sell by a link.")
    stripe_id = price.stripe_id(mode)
    if stripe_id is None:
        raise InvalidInput(f"{price.key} is not at Stripe yet: run `flask catalogue push --mode {mode}` first.")
    if price.is_archived(mode):
        raise InvalidInput(f"{stripe_id} is archived at Stripe.")
    return stripe_id


def _params(link: PaymentLink) -> dict[str, object]:
    metadata = {"portal_mode": link.mode, "tier": link.tier}
    return {
        "line_items": [{"price": link.price_id, "quantity": 1}],
        "after_completion": {"type": "redirect", "redirect": {"url": link.success_url}},
        "metadata": metadata,
        "subscription_data": {"metadata": metadata},
    }


def is_ours(session: gateway.Session, price: gateway.Price | None, mode: str) -> bool:
    """Whether a link's session sells something of ours: its price gives a tier here.

    `metadata.tier` alone does not make it so: another product on the same account may use that word too.
    """
    if session.payment_link is None or price is None or not (session.customer or session.email):
        return False
    return items.known_tier(price, mode) is not None


def arrive(mode: str, session: gateway.Session, price: gateway.Price) -> Purchase:
    """Write the purchase of a link's session, under an unclaimed user unless its address is proven. Flushes."""
    customer, is_new = _buyer(mode, session)
    now = clock.now()
    purchase = Purchase(
        number=new_number(),
        customer_id=customer.id,
        mode=mode,
        kind="plan",
        item=price.lookup_key or price.id,
        name=_name(price, mode),
        tier=items.known_tier(price, mode),
        amount=session.amount_subtotal or 0,
        currency=session.currency or price.currency,
        interval=price.interval,
        interval_count=price.interval_count,
        params={},
        session_id=session.id,
        payment_link=session.payment_link,
        made_account=is_new,
        state="open",
        created_at=now,
    )
    db.session.add(purchase)
    db.session.flush()
    if not customer.user.is_claimed:
        mail.queue(customer.user, "claim", f"claim:{purchase.number}")
    log.info("payment_link_used", order=purchase.number, link=session.payment_link, made_account=is_new)
    return purchase


def _name(price: gateway.Price, mode: str) -> str:
    tier = items.known_tier(price, mode) or ""
    name = db.session.execute(select(Plan.name).filter_by(tier=tier)).scalar_one_or_none()
    return name or tier.capitalize()


def _buyer(mode: str, session: gateway.Session) -> tuple[Customer, bool]:
    """Whose purchase it is: the Stripe customer's, else the address's; and whether it made an unclaimed user."""
    known = customers.by_stripe_id(mode, session.customer)
    if known is not None:
        return known, False
    user = owners.of(session.email)
    customer = customers.of(user, mode)
    if session.customer is not None:
        customers.add_name(customer, session.customer, session.email)
    return customer, not user.is_claimed
