"""The plans on sale, as the pricing page shows them."""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy import select
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.orm import selectinload

from portal import access, gateway, money
from portal.billing import invoices, subscriptions
from portal.customers import suspensions
from portal.extensions import db
from portal.models import Plan, Price, Purchase, Subscription
from portal.payments import record
from portal.purchases import items

log = structlog.get_logger()

CYCLES = ("month", "year")
MONTHS_A_YEAR = 12


@dataclass(frozen=True)
class Offer:
    """One plan on the pricing page. `saving` is what a year costs less than twelve months, in minor units."""

    key: str
    name: str
    description: str
    features: list[str]
    recommended: bool
    price: Price | None
    saving: int | None
    is_current: bool
    trial_days: int  # free before the price is due; 0 for who had a trial
    note: str  # what choosing it means for who has a plan already
    action: str  # "buy" (strangers sign up on the way), or "change" for who has a plan already


@dataclass(frozen=True)
class Bought:
    """What a completed plan session bought: subscription and first invoice, or, paid once, only a payment."""

    subscription: subscriptions.Snapshot | None
    invoice: invoices.Snapshot | None
    payment: gateway.PaymentIntent | None = None


def read_bought(mode: str, session: gateway.Session) -> Bought:
    """Fetch what a completed session bought."""
    return Bought(
        subscription=subscriptions.read(mode, session.subscription) if session.subscription else None,
        invoice=invoices.read_alone(mode, session.invoice) if session.invoice else None,
        payment=_paid_once(mode, session),
    )


def _paid_once(mode: str, session: gateway.Session) -> gateway.PaymentIntent | None:
    if session.subscription or session.payment_intent is None:
        return None
    return gateway.of(mode).payment_intent(session.payment_intent)


def give(purchase: Purchase, bought: Bought) -> None:
    """A paid plan gives its subscription, or its tier for good; access follows by itself. Flushes."""
    if bought.subscription is not None:
        subscriptions.apply(bought.subscription)
    access.changed(purchase.customer_id)
    if bought.payment is not None:
        record.of_order(purchase, bought.payment)
    suspensions.review(purchase.customer_id, about=purchase.number)
    if bought.invoice is not None:
        invoices.apply(bought.invoice)


def every_plan() -> list[Plan]:
    """All plans with their prices, hidden and withdrawn ones too, the lowest first. Two queries."""
    query = select(Plan).options(selectinload(Plan.prices)).order_by(Plan.position)
    return list(db.session.execute(query).scalars())


def offers(plans: list[Plan], cycle: str, mine: access.Access | None, *, has_trial: bool = True) -> list[Offer]:
    """The pricing page's plans for one cycle, for a customer or (None) a stranger; only what may be sold.

    `has_trial`: the customer's one trial is not used up.
    """
    positions = {plan.tier: plan.position for plan in plans}
    found = []
    for plan in plans:
        price = price_for(plan, cycle)
        shown = not plan.hidden and not plan.withdrawn
        if shown and price is not None and items.is_allowed(price.stripe_id("live")):
            found.append(_offer(plan, price, mine, positions, has_trial))
    return found


def has_yearly(plans: list[Plan]) -> bool:
    """Whether anything on the page is paid by the year."""
    return any(price.interval == "year" for plan in plans for price in plan.prices if _is_on_sale(price))


def price_for(plan: Plan, cycle: str) -> Price | None:
    """The plan's price for this cycle, else for its other one; None for a plan that is not on sale."""
    prices = [price for price in plan.prices if _is_on_sale(price)]
    fitting = [price for price in prices if price.interval == cycle]
    return next(iter(fitting or prices), None)


def not_on_sale(plans: Sequence[Plan]) -> list[str]:
    """The keys of shown plans' prices that nobody can buy, because no live price at Stripe is known for them."""
    shown = [price for plan in plans if not plan.hidden and not plan.withdrawn for price in plan.prices]
    return [
        price.key
        for price in shown
        if not price.withdrawn and not price.is_archived("live") and not _is_on_sale(price)
    ]


def log_what_is_not_on_sale() -> None:
    """Say once, at the start, which prices are missing and how they get on sale. Ends the transaction."""
    try:
        missing = not_on_sale(every_plan())
    except (OperationalError, ProgrammingError):  # no tables yet, which /readyz says
        missing = []
    db.session.rollback()
    db.engine.dispose()  # nothing of it is taken along into a worker
    if missing:
        fix = "name its price in STRIPE_PRICE_<PLAN>_<CYCLE> and run flask seed-plans, or run flask catalogue push"
        log.warning("plans_not_on_sale", prices=missing, fix=fix)


def _is_on_sale(price: Price) -> bool:
    """Whether there is something to buy: Stripe has the price, or it costs nothing."""
    if price.withdrawn or price.is_archived("live"):
        return False
    return not price.amount or price.live_price_id is not None


def in_words(item: items.Item) -> str:
    """What is bought and what it costs, such as "Pro, $49.99 a month"."""
    cost = money.text(item.amount, item.currency, short=True)
    how_often = f" {money.every(item.interval, item.interval_count)}" if item.interval else ""
    return f"{item.name}, {cost}{how_often}"


def _offer(
    plan: Plan, price: Price, mine: access.Access | None, positions: dict[str, int], has_trial: bool
) -> Offer:
    held = mine.subscription if mine else None
    is_same = mine is not None and mine.tier == plan.tier
    return Offer(
        key=plan.key,
        name=plan.name,
        description=plan.description,
        features=plan.features,
        recommended=plan.recommended,
        price=price,
        saving=_saving(plan, price),
        is_current=is_same and (held is None or held.interval == price.interval),
        trial_days=plan.trial_days if has_trial and price.amount and held is None else 0,
        note=_note(plan, price, held, positions) if held else "",
        action="change" if held else "buy",
    )


def _note(plan: Plan, price: Price, held: Subscription, positions: dict[str, int]) -> str:
    now = positions.get(held.tier or "", -1)
    if plan.position > now:
        return "An upgrade: begins at once."
    if plan.position == now and price.interval == "year":
        return "The same by the year: begins at once."
    return "Begins when what you have is over." if price.amount == 0 else "Begins with your next renewal."


def _saving(plan: Plan, price: Price) -> int | None:
    monthly = price_for(plan, "month")
    if price.interval != "year" or monthly is None or monthly.interval != "month":
        return None
    return max(monthly.amount * MONTHS_A_YEAR - price.amount, 0) or None
