"""Subscriptions: one sync that everything calls, and what they mean in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import Row, and_, bindparam, select

from portal import access, clock, gateway
from portal.billing import telling, trials
from portal.customers import suspensions
from portal.errors import StripeRefused
from portal.extensions import db
from portal.models import Customer, Plan, StripeCustomer, Subscription, SubscriptionChange
from portal.purchases import clocks, copies, items, off_session, tickets
from portal.usage import agreements

log = structlog.get_logger()

# Whose a subscription is, and what was last known of it (null: nothing yet), in one statement, built once.
KNOWN = (
    select(
        StripeCustomer.customer_id,
        Subscription.past_due_since,
        *(getattr(Subscription, name) for name in telling.WATCHED),
        SubscriptionChange.params.label("change"),
    )
    .outerjoin(
        Subscription,
        and_(
            Subscription.mode == StripeCustomer.mode,
            Subscription.stripe_id == bindparam("of_subscription"),
        ),
    )
    .outerjoin(
        SubscriptionChange,
        and_(
            SubscriptionChange.mode == StripeCustomer.mode,
            SubscriptionChange.subscription_id == bindparam("of_subscription"),
            SubscriptionChange.state.in_(("open", "paying")),
        ),
    )
    .where(StripeCustomer.mode == bindparam("of_mode"), StripeCustomer.stripe_id == bindparam("of_customer"))
)
Known = Row[Any]


@dataclass(frozen=True)
class Coming:
    """What a schedule will turn a subscription into."""

    price: gateway.Price
    quantity: int
    at: datetime


@dataclass(frozen=True)
class Snapshot:
    """A subscription as Stripe has it, under its sync's number, and the test clock that it lives on."""

    mode: str
    number: int
    facts: gateway.Subscription
    past_due_since: datetime | None
    clock: gateway.Clock | None = None
    coming: Coming | None = None
    due: int | None = None  # of the next invoice, where a discount lowers it

    @property
    def ticket(self) -> str:
        """The id under which its syncs are counted."""
        return self.facts.id


def sync(mode: str, subscription_id: str) -> Subscription | None:
    """Bring our copy to where Stripe is. Any number of times, from anywhere; commits. None: isn't ours."""
    snapshot = read(mode, subscription_id)
    is_ours = apply(snapshot) is not None
    db.session.commit()
    return by_stripe_id(mode, subscription_id) if is_ours else None


def current(subscription: Subscription) -> gateway.Subscription:
    """What Stripe says of it now; our copy is brought there where it is behind. Commits."""
    facts = gateway.of(subscription.mode).subscription(subscription.stripe_id)
    prices = [item.price.id for item in facts.items]
    known = (subscription.status, subscription.cancel_at, subscription.schedule_id)
    if subscription.price_id not in prices or known != (facts.status, facts.ends_at, facts.schedule):
        sync(subscription.mode, subscription.stripe_id)
        db.session.refresh(subscription)
        db.session.commit()
    return facts


def read(mode: str, subscription_id: str) -> Snapshot:
    """Take a number and fetch; for one past due also since when; its test clock; and what is scheduled."""
    number = tickets.take(mode, subscription_id)
    lane = gateway.of(mode)
    facts = lane.subscription(subscription_id)
    since = None
    if facts.status == "past_due":
        attempted = [invoice.created for invoice in lane.open_invoices(subscription_id) if invoice.attempted]
        since = min(attempted, default=None)
    test_clock = lane.test_clock(facts.test_clock) if facts.test_clock else None
    return Snapshot(mode, number, facts, since, test_clock, _coming(lane, facts), _due(lane, facts))


def read_by_schedule(mode: str, schedule_id: str) -> Snapshot | None:
    """The same by the id of its schedule; None for a schedule that never had a subscription."""
    subscription_id = gateway.of(mode).schedule(schedule_id).subscription
    return read(mode, subscription_id) if subscription_id else None


def _coming(lane: gateway.Lane, facts: gateway.Subscription) -> Coming | None:
    phase = lane.schedule(facts.schedule).coming if facts.schedule else None
    if phase is None:
        return None
    item = phase.items[0]
    return Coming(lane.price(item["price"]), item.get("quantity", 1), phase.starts)


def _due(lane: gateway.Lane, facts: gateway.Subscription) -> int | None:
    """What the next invoice asks for with its discounts: how long one lasts, Stripe alone reckons."""
    renews = facts.status in ("active", "trialing") and facts.ends_at is None
    if not (renews and facts.is_discounted):
        return None
    try:
        return lane.preview({"subscription": facts.id}).amount_due
    except StripeRefused as refused:  # the price before discounts is shown, and nothing else waits for it
        log.warning("next_invoice_unknown", subscription=facts.id, code=refused.stripe_code)
        return None


def apply(snapshot: Snapshot) -> int | None:
    """Write what was fetched unless something newer stands there. Gives whose it is; None: isn't ours. Flushes."""
    facts = snapshot.facts
    ids = {"of_mode": snapshot.mode, "of_customer": facts.customer, "of_subscription": facts.id}
    known = db.session.connection().execute(KNOWN, ids).one_or_none()
    if known is None:
        return None
    customer_id: int = known.customer_id
    if tickets.use(snapshot):
        access.changed(customer_id)  # ahead of all else: it locks the customer
        values = {"customer_id": customer_id, "stripe_customer": facts.customer, **_values(snapshot, known)}
        values |= _held(known)
        copies.write(Subscription, snapshot.mode, facts.id, values)
        clocks.put(customer_id, snapshot.clock)
        if facts.status == "trialing":
            trials.note(snapshot.mode, customer_id, facts)
        if "off_session" in facts.metadata:
            off_session.settle(facts, customer_id)
        if facts.is_metered and values["tier"] is None:
            agreements.follow(customer_id, snapshot.mode, facts)
        suspensions.review(customer_id, about=facts.id)
        telling.tell(customer_id, facts, known._mapping, values)
    return customer_id


def _held(known: Known) -> dict[str, Any]:
    """What is shown while a change's payment is on its way: the plan that was paid for."""
    return dict((known.change or {}).get("held") or {})


def by_stripe_id(mode: str, subscription_id: str) -> Subscription | None:
    """Our copy of a Stripe subscription."""
    query = select(Subscription).filter_by(mode=mode, stripe_id=subscription_id)
    return db.session.execute(query.execution_options(populate_existing=True)).scalar_one_or_none()


def _values(snapshot: Snapshot, known: Known) -> dict[str, Any]:
    facts = snapshot.facts
    item, tier = _deciding_item(snapshot, known)
    card = facts.card
    return {
        "status": facts.status,
        "price_id": item.price.id,
        "tier": tier,
        "quantity": item.quantity,
        "amount": sum((one.price.amount or 0) * one.quantity for one in facts.items if not one.price.metered),
        "currency": item.price.currency,
        "interval": item.price.interval or "month",
        "interval_count": item.price.interval_count,
        "current_period_end": facts.period_end,
        "trial_end": facts.trial_end,
        "cancel_at": facts.ends_at,
        "canceled_at": facts.canceled_at,
        "ended_at": facts.ended_at,
        "past_due_since": _past_due_since(snapshot, known),
        "pending_until": facts.pending_until,
        **_next(snapshot),
        "next_due": snapshot.due,
        "card_brand": card.brand if card else None,
        "card_last4": card.last4 if card else None,
        "card_exp_month": card.exp_month if card else None,
        "card_exp_year": card.exp_year if card else None,
        "started_at": facts.created,
        "synced_at": clock.now(),
    }


def _next(snapshot: Snapshot) -> dict[str, Any]:
    """What is scheduled, for the row."""
    coming = snapshot.coming
    price = coming.price if coming else None
    return {
        "schedule_id": snapshot.facts.schedule,
        "next_price_id": price.id if price else None,
        "next_tier": items.tier_of(price, snapshot.mode) if price else None,
        "next_amount": (price.amount or 0) * coming.quantity if price and coming else None,
        "next_interval": price.interval if price else None,
        "next_interval_count": price.interval_count if price else None,
        "next_at": coming.at if coming else None,
    }


def _past_due_since(snapshot: Snapshot, known: Known) -> datetime | None:
    """Stripe's invoices say; where none is open (it was voided), since we first saw it: grace always ends."""
    if snapshot.facts.status != "past_due":
        return None
    seen = clock.now(snapshot.clock.frozen_at if snapshot.clock else None)
    return snapshot.past_due_since or known.past_due_since or seen


def _deciding_item(snapshot: Snapshot, known: Known) -> tuple[gateway.SubscriptionItem, str | None]:
    """The first item whose price gives a tier. An unknown price keeps the last known tier, and is flagged."""
    for item in snapshot.facts.items:
        tier = items.tier_of(item.price, snapshot.mode)
        if tier is not None:
            return item, tier
    first = snapshot.facts.items[0]
    if first.price.metered:
        return first, None
    log.error("price_unknown", subscription=snapshot.facts.id, price=first.price.id, kept=known.tier)
    return first, known.tier


def of_customer(customer_id: int, *, ended: bool = False) -> list[Subscription]:
    """The customer's subscriptions, newest first; with `ended` also those that are over."""
    query = select(Subscription).filter_by(customer_id=customer_id)
    if not ended:
        query = query.where(Subscription.status.not_in(("canceled", "incomplete_expired")))
    newest_first = query.order_by(Subscription.started_at.desc(), Subscription.id.desc())
    return list(db.session.execute(newest_first).scalars())


def chosen(customer: Customer | None, plans: Sequence[Plan], stripe_id: str = "") -> Subscription | None:
    """The subscription that is named, else the plan that decides about access, else the newest that is not over.

    A pay-as-you-go agreement is given only where it is named. Raises NotFound for another customer's.
    """
    if stripe_id:
        named = by_stripe_id(customer.mode, stripe_id) if customer else None
        return access.own_or_404(named, customer)
    if customer is None:
        return None
    running = [one for one in of_customer(customer.id) if one.is_plan]
    return access.deciding(running, plans, customer) or next(iter(running), None)
