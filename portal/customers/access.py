"""What a customer may use: ownership of rows, and the tier that follows from subscriptions and the clock."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    bindparam,
    exists,
    false,
    null,
    or_,
    select,
    true,
    type_coerce,
    union_all,
    update,
)

from portal import clock
from portal.enums import N_, State
from portal.errors import NotFound
from portal.extensions import db
from portal.models import Customer, GivenPlan, Order, OrderState, Payment, Plan, Subscription, SubscriptionStatus
from portal.settings import current_settings

FREE = "free"  # the tier of customers without a plan

# Built once, because each webhook about a subscription runs it.
BUMP = (
    update(Customer)
    .where(Customer.id == bindparam("of_customer"))
    .values(access_version=Customer.access_version + 1)
)

Row = TypeVar("Row")


def mark_changed(customer_id: int) -> None:
    """Mark cached access as stale, in the transaction that changes a customer's access. Flushes."""
    db.session.connection().execute(BUMP, {"of_customer": customer_id})


def own_or_404(row: Row | None, customer: Customer | None) -> Row:
    """Return the row if it belongs to this customer. Anyone else's is treated as missing."""
    if row is None or customer is None or getattr(row, "customer_id", None) != customer.id:
        raise NotFound("There is nothing here, or it belongs to another account.")
    return row


class AccessStatus(State):
    """The status of a customer without a subscription that grants access."""

    FREE = "free", N_("Free")
    SUSPENDED = "suspended", N_("Suspended"), "negative"


@dataclass(frozen=True)
class Owned:
    """A plan without a subscription: paid once, or given by an admin, then perhaps until a date."""

    tier: str
    until: datetime | None = None
    is_given: bool = False


@dataclass(frozen=True)
class Access:
    """What a customer may use now.

    `until` is when a grace period, a scheduled cancellation or the date of a given plan ends it.
    """

    tier: str
    plan_name: str
    status: State  # the deciding subscription's, else an AccessStatus
    entitlements: dict[str, Any] = field(default_factory=dict)
    until: datetime | None = None
    subscription: Subscription | None = None
    owned: Owned | None = None  # the plan that counts, if no subscription does


def of(
    customer: Customer | None,
    now: datetime | None = None,
    *,
    plans: Sequence[Plan] | None = None,
    subscriptions: Sequence[Subscription] | None = None,
    owned: Sequence[Owned] | None = None,
) -> Access:
    """Return the customer's access, computed from what they bought and their clock. It is never stored.

    It runs three queries, and fewer if the caller passes the plans (all of them, including withdrawn ones), the
    customer's subscriptions or the plans that they have without one.
    """
    plans = plans if plans is not None else db.session.execute(select(Plan)).scalars().all()
    if customer is None:
        return decide([], plans, suspended=False, now=clock.now(now), grace=_grace())
    if subscriptions is None:
        query = (
            select(Subscription)
            .filter_by(customer_id=customer.id)
            .where(Subscription.status.in_(SubscriptionStatus.granting()))
        )
        subscriptions = db.session.execute(query).scalars().all()
    now = clock.now(now or customer.clock_at)
    if owned is None:
        owned = _owned(customer, now)
    return decide(
        subscriptions,
        plans,
        suspended=customer.suspended_at is not None,
        now=now,
        grace=_grace(),
        extended=customer.grace_until,
        owned=owned,
    )


def _owned(customer: Customer, now: datetime) -> list[Owned]:
    """List the plans that were paid once, and the one that was given, in one query."""
    nothing = type_coerce(null(), GivenPlan.until.type)
    once = select(Order.tier, nothing, false()).where(Order.customer_id == customer.id, *paid_once())
    given = select(GivenPlan.tier, GivenPlan.until, true()).filter_by(customer_id=customer.id, ended_at=None)
    given = given.where(or_(GivenPlan.until.is_(None), GivenPlan.until > now))
    both = union_all(once, given)
    return [Owned(*row) for row in db.session.execute(both)]


def paid_once() -> tuple[ColumnElement[bool], ...]:
    """Return the conditions that an order paid a plan once, and that its payment was not taken back."""
    is_paid = (Order.kind == "plan", Order.state == OrderState.PAID, Order.interval.is_(None))
    return (*is_paid, Order.tier.is_not(None), ~_taken_back())


def _taken_back() -> ColumnElement[bool]:
    """Return the condition that everything paid for a one-time plan's order is withdrawn now, by refunds or
    disputes.
    """
    return exists().where(
        Payment.order_id == Order.id, Payment.amount > 0, Payment.amount_withdrawn >= Payment.amount
    )


def decide(
    subscriptions: Sequence[Subscription],
    plans: Sequence[Plan],
    *,
    suspended: bool,
    now: datetime,
    grace: timedelta,
    extended: datetime | None = None,
    owned: Iterable[Owned] = (),
) -> Access:
    """Compute access without a database: the highest plan of several subscriptions counts, then the best status.

    `extended` is the date until which an admin keeps an unpaid plan active. `owned` are plans without a
    subscription; a subscription to the same or a higher tier outranks them.
    """
    by_tier = {plan.tier: plan for plan in plans}
    positions = {plan.tier: plan.position for plan in plans}
    granting = [one for one in subscriptions if one.tier and grants(one, now, _longer(one, grace, extended))]
    best = max(granting, key=lambda one: _rank(one, by_tier), default=None)
    tier: str = FREE
    status: State = AccessStatus.FREE
    if best and best.tier:
        tier, status = best.tier, best.status
    kept = max(owned, key=lambda one: (positions.get(one.tier, -1), one.until is None), default=None)
    if kept and positions.get(kept.tier, -1) > positions.get(tier, -1):
        tier, status, best = kept.tier, SubscriptionStatus.ACTIVE, None
    else:
        kept = None
    plan = by_tier.get(tier)
    return Access(
        tier=tier,
        plan_name=plan.name if plan else tier.capitalize(),
        status=AccessStatus.SUSPENDED if suspended else status,
        entitlements=plan.entitlements if plan else {},
        until=_until(best, _longer(best, grace, extended)) if best else (kept.until if kept else None),
        subscription=best,
        owned=kept,
    )


def deciding(
    subscriptions: Sequence[Subscription], plans: Sequence[Plan], customer: Customer
) -> Subscription | None:
    """Return the customer's subscription that counts; None if none grants access now."""
    now, extended = clock.now(customer.clock_at), customer.grace_until
    found = decide(subscriptions, plans, suspended=False, now=now, grace=_grace(), extended=extended)
    return found.subscription


def grants(subscription: Subscription, now: datetime, grace: timedelta) -> bool:
    """Return whether a subscription grants its tier now: active and trialing do, past_due within the grace
    period.
    """
    if subscription.status == SubscriptionStatus.PAST_DUE:
        return subscription.past_due_since is None or now < subscription.past_due_since + grace
    return subscription.status.grants_access


def grace_of(subscription: Subscription, customer: Customer) -> timedelta:
    """Return how long this subscription's plan stays after a failed payment. An admin may have extended it."""
    return _longer(subscription, _grace(), customer.grace_until)


def _longer(subscription: Subscription, grace: timedelta, extended: datetime | None) -> timedelta:
    since = subscription.past_due_since
    return max(grace, extended - since) if extended and since else grace


def _rank(subscription: Subscription, plans: dict[str, Plan]) -> tuple[int, int]:
    plan = plans.get(subscription.tier or "")
    return (plan.position if plan else -1, -SubscriptionStatus.granting().index(subscription.status))


def _until(subscription: Subscription, grace: timedelta) -> datetime | None:
    if subscription.status == SubscriptionStatus.PAST_DUE and subscription.past_due_since:
        return subscription.past_due_since + grace
    return subscription.cancel_at


def _grace() -> timedelta:
    return timedelta(days=current_settings().grace_days)
