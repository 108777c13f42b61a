"""Payment Links: creating one, and buyers who have no account."""

from collections.abc import Sequence
from urllib.parse import urlsplit

import structlog
from sqlalchemy import or_, select, update

from portal import clock, gateway, mail, money
from portal.catalogue import items
from portal.customers import access, owners, stripe_customers
from portal.enums import Mode
from portal.errors import InvalidInput, StripeRefused
from portal.extensions import db
from portal.models import (
    Customer,
    Invoice,
    Order,
    OrderState,
    Payment,
    PaymentLink,
    Plan,
    Price,
    StripeCustomer,
    Subscription,
)
from portal.models.order import new_number
from portal.orders.sessions import ID_PLACEHOLDER
from portal.settings import current_settings
from portal.sync import idempotency, locks, parked_events

log = structlog.get_logger()

SUCCESS = f"/billing/success?session_id={ID_PLACEHOLDER}"


def create(
    tier: str,
    mode: Mode,
    *,
    cycle: str | None = None,
    allow_hidden: bool = False,
    base_url: str = "",
    price: str = "",
) -> str:
    """Create a link that sells this tier and redirects to the success page, and return its URL. Commits.

    It sells `price` if given, else the price map's (live mode), else the catalogue's. Without a `cycle` it prefers
    the monthly one. Raises InvalidInput for a tier that is unknown, hidden (without `allow_hidden`), free or not
    yet at Stripe, and for a price that does not grant it.
    """
    plan = items.plan_of(tier)
    if plan is not None and plan.hidden and not allow_hidden:
        raise InvalidInput(f"{plan.name} is hidden. Add --allow-hidden to sell it by a link all the same.")
    sold = _given_price(tier, mode, cycle, price) or _catalogue_price(tier, mode, cycle or "month")
    base = base_url.rstrip("/") or current_settings().base_url
    if urlsplit(base).scheme not in ("http", "https"):
        raise InvalidInput("The base URL is an http(s) address, such as https://api.example.com.")
    link = _claim(mode=mode, price_id=sold, tier=tier, success_url=base + SUCCESS)
    made = idempotency.call(link, lambda key: gateway.of(mode).create_payment_link(_params(link), key))
    link.stripe_id, link.url = made.id, made.url
    db.session.commit()
    return made.url


def _claim(**facts: str) -> PaymentLink:
    """Write the link's row, or reuse that of an earlier command that got no response. Commits."""
    query = select(PaymentLink).filter_by(stripe_id=None, **facts).order_by(PaymentLink.id.desc())
    link = db.session.execute(query.limit(1)).scalar_one_or_none()
    if link is None:
        link = PaymentLink(created_at=clock.now(), **facts)
        db.session.add(link)
    db.session.commit()
    return link


def _given_price(tier: str, mode: Mode, cycle: str | None, named: str) -> str | None:
    """Return the price id that the command or the price map names for this tier; None if neither does.

    The map belongs to the live account. Fetches each price's interval from Stripe; commits.
    """
    ids = [named] if named else [one for one, gives in current_settings().price_map.items() if gives == tier]
    if mode == Mode.TEST and not named:
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


def _read_price(price_id: str, tier: str, mode: Mode) -> gateway.Price:
    """Fetch a price from Stripe. Raises InvalidInput if it cannot be sold or does not grant the tier."""
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


def _catalogue_price(tier: str, mode: Mode, cycle: str) -> str:
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


def plan_of(
    session: gateway.Session, lines: Sequence[gateway.SessionLine], mode: Mode
) -> gateway.SessionLine | None:
    """Return the line of a link's session whose price grants a tier here; None if it sells nothing of ours.

    Of several, the strongest source of a tier decides, then what recurs: a fee can stand beside the plan.
    `metadata.tier` alone is not enough, because another product on the same account may use that key too.
    """
    if session.payment_link is None or not (session.customer or session.email):
        return None
    found = [
        (source[0], line.price.interval is None, number)
        for number, line in enumerate(lines)
        if (source := items.tier_and_source(line.price, mode)) and source[0] != items.TierSource.METADATA
    ]
    return lines[min(found)[2]] if found else None


def trial_days(session: gateway.Session, line: gateway.SessionLine, mode: Mode) -> int:
    """Return the free days of a link's session, whose line then charges nothing today. Calls Stripe."""
    if line.amount or not line.cost or session.payment_link is None:
        return 0
    return gateway.of(mode).payment_link(session.payment_link).trial_days


def arrive(mode: Mode, session: gateway.Session, line: gateway.SessionLine, days: int = 0) -> Order:
    """Write the order of a link's session, for an unclaimed user unless its address is verified. Flushes.

    `line` sells the plan, and `days` are its trial. What was paid in all is on the payment and its invoice.
    """
    price = line.price
    customer, is_new = _buyer(mode, session)
    now = clock.now()
    order = Order(
        number=new_number(),
        customer_id=customer.id,
        mode=mode,
        kind="plan",
        item=price.lookup_key or price.id,
        name=_name(price, mode),
        tier=items.known_tier(price, mode),
        amount=line.cost,
        currency=price.currency,
        interval=price.interval,
        interval_count=price.interval_count,
        params={"subscription_data": {"trial_period_days": days}} if days else {},
        session_id=session.id,
        payment_link=session.payment_link,
        made_account=is_new,
        state=OrderState.OPEN,
        created_at=now,
    )
    db.session.add(order)
    db.session.flush()
    parked_events.look_soon(mode, session=session.id)
    if not customer.user.is_claimed:
        mail.queue(customer.user, "claim", f"claim:{order.number}")
    log.info("payment_link_used", order=order.number, link=session.payment_link, made_account=is_new)
    return order


def _name(price: gateway.Price, mode: Mode) -> str:
    tier = items.known_tier(price, mode) or ""
    name = db.session.execute(select(Plan.name).filter_by(tier=tier)).scalar_one_or_none()
    return name or tier.capitalize()


def _buyer(mode: Mode, session: gateway.Session) -> tuple[Customer, bool]:
    """Return the order's customer, and whether an unclaimed user was created.

    The customer is that of the session's Stripe customer, unless it belongs to an account with an unproven
    address: a Payment Link names an address, which whoever made that account may not own. Else the address
    decides.
    """
    if _holder_is_unproven(mode, session.customer):
        user = owners.of(session.email)
        customer = stripe_customers.of(user, mode)
        _take_from_holder(session, customer)
        return customer, not user.is_claimed
    known_id = locks.lock_owner(lambda: stripe_customers.id_of(mode, session.customer))
    if known_id is not None:
        return db.session.get_one(Customer, known_id), False
    user = owners.of(session.email)
    customer = stripe_customers.of(user, mode)
    if session.customer is not None:
        stripe_customers.add_name(customer, session.customer, session.email)
    return customer, not user.is_claimed


def _holder_is_unproven(mode: Mode, stripe_customer: str | None) -> bool:
    holder = stripe_customers.by_stripe_id(mode, stripe_customer)
    return holder is not None and holder.user.is_claimed and not holder.user.is_proven


def _take_from_holder(session: gateway.Session, buyer: Customer) -> None:
    """Give the buyer the session's Stripe customer, and what an event wrote of this purchase before. Flushes.

    A Stripe customer that also pays for another subscription of its holder stays; fulfillment raises Mismatch.
    """
    mode, name = buyer.mode, session.customer
    source_id = locks.lock_owner(lambda: stripe_customers.id_of(mode, name))
    others = select(Subscription.id).where(Subscription.mode == mode, Subscription.stripe_customer == name)
    if db.session.execute(others.where(Subscription.stripe_id != session.subscription)).first():
        return
    has_own = stripe_customers.current(buyer) is not None
    for model, mine in (
        (Subscription, Subscription.stripe_id == session.subscription),
        (Invoice, Invoice.stripe_id == session.invoice),
        (Payment, or_(Payment.stripe_id == session.payment_intent, Payment.invoice_id == session.invoice)),
    ):
        theirs = update(model).where(model.mode == mode, model.customer_id == source_id, mine)
        db.session.execute(theirs.values(customer_id=buyer.id))
    named = update(StripeCustomer).where(StripeCustomer.mode == mode, StripeCustomer.stripe_id == name)
    db.session.execute(named.values(customer_id=buyer.id, is_current=not has_own))
    access.mark_changed(buyer.id)
    log.warning("stripe_customer_of_unproven_account", stripe_customer=name, was=source_id, now=buyer.id)
