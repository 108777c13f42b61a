"""Subscriptions: the one sync that all callers use, and queries of our copies."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import Row, and_, bindparam, select

from portal import clock, gateway
from portal.allowances import periods
from portal.billing.lifecycle import trials, void_claims
from portal.billing.status import notifications, unknown_prices
from portal.billing.upcoming import parts, previews, terms
from portal.customers import access, suspensions, test_clocks
from portal.enums import Mode
from portal.extensions import db
from portal.figures import mrr
from portal.models import (
    Customer,
    Plan,
    StripeCustomer,
    Subscription,
    SubscriptionChange,
    SubscriptionStatus,
)
from portal.models.card import card_columns
from portal.orders import off_session
from portal.sync import upsert, versions
from portal.usage import agreements

log = structlog.get_logger()


# The owner of a subscription and its last known state (null: none yet), in one statement that is built once.
KNOWN = (
    select(
        StripeCustomer.customer_id,
        Subscription.past_due_since,
        Subscription.tier_kept,
        Subscription.mrr,
        Subscription.mrr_since,
        Subscription.mrr_opening,
        *(getattr(Subscription, name) for name in notifications.WATCHED),
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
    """What a schedule will change a subscription to: prices with their quantities."""

    priced: tuple[tuple[gateway.Price, int], ...]
    at: datetime


@dataclass(frozen=True)
class SubscriptionSnapshot:
    """A subscription as Stripe has it, with its sync number and its test clock."""

    mode: Mode
    number: int
    facts: gateway.Subscription
    past_due_since: datetime | None
    clock: gateway.Clock | None = None
    coming: Coming | None = None
    previewed: previews.Previewed | None = None  # None: Stripe was not asked

    @property
    def ticket(self) -> str:
        """Return the id that its sync numbers belong to."""
        return self.facts.id


def sync(mode: Mode, subscription_id: str) -> Subscription | None:
    """Sync our copy with Stripe. Can be repeated from anywhere; commits. Returns None if it isn't ours."""
    snapshot = read(mode, subscription_id)
    is_ours = apply(snapshot) is not None
    db.session.commit()
    return by_stripe_id(mode, subscription_id) if is_ours else None


def current(subscription: Subscription) -> gateway.Subscription:
    """Fetch the subscription, and sync our copy if it is outdated. Commits."""
    facts = gateway.of(subscription.mode).subscription(subscription.stripe_id)
    prices = [item.price.id for item in facts.items]
    known = (subscription.status, subscription.cancel_at, subscription.schedule_id)
    if subscription.price_id not in prices or known != (facts.status, facts.ends_at, facts.schedule):
        sync(subscription.mode, subscription.stripe_id)
        db.session.refresh(subscription)
        db.session.commit()
    return facts


def read(mode: Mode, subscription_id: str) -> SubscriptionSnapshot:
    """Take a number and fetch the subscription, its schedule and test clock, and since when it is past due."""
    return fetch(mode, versions.take(mode, subscription_id), subscription_id)


def fetch(mode: Mode, number: int, subscription_id: str, ask: previews.Ask | None = None) -> SubscriptionSnapshot:
    """Do the same with a number that was taken, and with a preview of the next invoice by `ask`."""
    lane = gateway.of(mode)
    facts = lane.subscription(subscription_id)
    since = None
    if facts.status == SubscriptionStatus.PAST_DUE:
        attempted = [invoice.created for invoice in lane.open_invoices(subscription_id) if invoice.attempted]
        since = min(attempted, default=None)
    test_clock = lane.test_clock(facts.test_clock) if facts.test_clock else None
    coming = _coming(lane, facts)
    previewed = ask(lane, facts) if ask else None
    return SubscriptionSnapshot(mode, number, facts, since, test_clock, coming, previewed)


def read_by_schedule(mode: Mode, schedule_id: str) -> SubscriptionSnapshot | None:
    """Do the same by the id of its schedule; return None for a schedule that never had a subscription."""
    subscription_id = gateway.of(mode).schedule(schedule_id).subscription
    return read(mode, subscription_id) if subscription_id else None


def _coming(lane: gateway.Lane, facts: gateway.Subscription) -> Coming | None:
    """Return what the next phase of its schedule changes; None if nothing but its terms."""
    phase = lane.schedule(facts.schedule).coming if facts.schedule else None
    if phase is None:
        return None
    known = {item.price.id: item.price for item in facts.items}
    now = {(item.price.id, item.quantity) for item in facts.items}
    then = [(item["price"], item.get("quantity", 1)) for item in phase.items]
    if set(then) == now:
        return None
    priced = tuple((known.get(price) or _price(lane, price, facts), quantity) for price, quantity in then)
    return Coming(priced, phase.starts)


def _price(lane: gateway.Lane, price_id: str, facts: gateway.Subscription) -> gateway.Price:
    """Fetch a price as it is in the subscription's currency."""
    price = lane.price(price_id)
    return price.within(facts.currency) or price


def apply(snapshot: SubscriptionSnapshot) -> int | None:
    """Write what was fetched unless a later fetch is stored, and return the owner. None: isn't ours. Flushes."""
    facts = snapshot.facts
    ids = {"of_mode": snapshot.mode, "of_customer": facts.customer, "of_subscription": facts.id}
    known = db.session.connection().execute(KNOWN, ids).one_or_none()
    if known is None:
        return None
    if versions.use(snapshot):
        known = _lock(known, ids)
        customer_id: int = known.customer_id
        values = {"customer_id": customer_id, "stripe_customer": facts.customer, **_values(snapshot, known)}
        now = clock.now(snapshot.clock.frozen_at if snapshot.clock else None)
        values |= mrr.columns(facts, known, tier=values["tier"], now=now, is_held=bool(held := _held(known)))
        values |= held
        upsert.write(Subscription, snapshot.mode, facts.id, values)
        test_clocks.put(customer_id, snapshot.clock)
        if facts.status == SubscriptionStatus.TRIALING:
            trials.note(snapshot.mode, customer_id, facts)
        if "off_session" in facts.metadata:
            off_session.settle(facts, customer_id)
        if values["is_usage"]:
            agreements.follow(customer_id, snapshot.mode, facts)
        if SubscriptionStatus(facts.status).is_final:
            void_claims.write(snapshot.mode, facts.id)
        tier, price_id = values["tier"], values["price_id"]
        periods.follow(customer_id, snapshot.mode, facts, price_id=price_id, tier=tier, now=now)
        suspensions.review(customer_id, about=facts.id)
        notifications.tell(customer_id, facts, known._mapping, values)
        unknown_prices.tell(snapshot.mode, customer_id, facts, known._mapping, values)
    owner_id: int = known.customer_id
    return owner_id


def _lock(known: Known, ids: dict[str, str]) -> Known:
    """Lock the customer first and read again: see portal.sync.locks.lock_owner. Flushes."""
    while True:
        access.mark_changed(known.customer_id)
        again = db.session.connection().execute(KNOWN, ids).one()
        if again.customer_id == known.customer_id:
            return again
        known = again


def _held(known: Known) -> dict[str, Any]:
    """Return what is shown while a change's payment is in progress: the previous plan."""
    return dict((known.change or {}).get("held") or {})


def by_stripe_id(mode: Mode, subscription_id: str) -> Subscription | None:
    """Return our copy of a Stripe subscription."""
    query = select(Subscription).filter_by(mode=mode, stripe_id=subscription_id)
    return db.session.execute(query.execution_options(populate_existing=True)).scalar_one_or_none()


def _values(snapshot: SubscriptionSnapshot, known: Known) -> dict[str, Any]:
    facts = snapshot.facts
    found = parts.of(snapshot.mode, [(item.price, item.quantity) for item in facts.items])
    plan, tier = found.plan, found.tier
    return {
        "status": facts.status,
        "price_id": plan.price_id,
        "tier": tier or known.tier,
        "tier_kept": tier is None and known.tier is not None,
        "is_usage": tier is None and facts.is_metered and agreements.is_ours(snapshot.mode, facts),
        "quantity": plan.quantity,
        "amount": found.amount,
        "currency": plan.currency,
        "interval": plan.interval,
        "interval_count": plan.interval_count,
        "items": [part.written() for part in found.parts],
        "terms": terms.of(facts),
        "method_type": facts.method_type,
        "current_period_end": _period_end(facts, plan.price_id),
        "trial_end": facts.trial_end,
        "cancel_at": facts.ends_at,
        "canceled_at": facts.canceled_at,
        "ended_at": facts.ended_at,
        "past_due_since": _past_due_since(snapshot, known),
        "pending_until": facts.pending_until,
        **_next(snapshot),
        **previews.columns(snapshot.previewed),
        **card_columns(facts.card),
        "started_at": facts.created,
        "synced_at": clock.now(),
    }


def _period_end(facts: gateway.Subscription, price_id: str) -> datetime | None:
    """Return the end of the plan's own period. Items with other intervals have periods of their own."""
    own = (item.period_end for item in facts.items if item.price.id == price_id and item.period_end)
    return next(own, facts.period_end)


def _next(snapshot: SubscriptionSnapshot) -> dict[str, Any]:
    """Return the row's columns for what is scheduled."""
    coming = snapshot.coming
    found = parts.of(snapshot.mode, coming.priced) if coming else None
    plan = found.plan if found else None
    return {
        "schedule_id": snapshot.facts.schedule,
        "next_price_id": plan.price_id if plan else None,
        "next_tier": found.tier if found else None,
        "next_amount": found.amount if found else None,
        "next_interval": plan.interval if plan else None,
        "next_interval_count": plan.interval_count if plan else None,
        "next_items": [part.written() for part in found.parts] if found else [],
        "next_at": coming.at if coming else None,
    }


def _past_due_since(snapshot: SubscriptionSnapshot, known: Known) -> datetime | None:
    """Return the date of the oldest unpaid invoice. If none is open (it was voided), it is when we first saw
    it, so that grace always ends.
    """
    if snapshot.facts.status != SubscriptionStatus.PAST_DUE:
        return None
    seen = clock.now(snapshot.clock.frozen_at if snapshot.clock else None)
    return snapshot.past_due_since or known.past_due_since or seen


def of_customer(customer_id: int, *, ended: bool = False) -> list[Subscription]:
    """List the customer's subscriptions, newest first; with `ended`, also ended ones."""
    query = select(Subscription).filter_by(customer_id=customer_id)
    if not ended:
        query = query.where(Subscription.status.not_in(SubscriptionStatus.final()))
    newest_first = query.order_by(Subscription.started_at.desc(), Subscription.id.desc())
    return list(db.session.execute(newest_first).scalars())


def chosen(customer: Customer | None, plans: Sequence[Plan], stripe_id: str = "") -> Subscription | None:
    """Return the named subscription, else the plan that decides access, else the newest that has not ended.

    A pay-as-you-go agreement is returned only if it is named. Raises NotFound for another customer's.
    """
    if stripe_id:
        named = by_stripe_id(customer.mode, stripe_id) if customer else None
        return access.own_or_404(named, customer)
    if customer is None:
        return None
    running = [one for one in of_customer(customer.id) if one.is_plan]
    return access.deciding(running, plans, customer) or next(iter(running), None)
