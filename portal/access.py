"""What a customer may use: ownership of rows, and the tier that follows from subscriptions and the clock."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, bindparam, exists, select, update

from portal import clock
from portal.errors import NotFound
from portal.extensions import db
from portal.models import Customer, Payment, Plan, Purchase, Subscription
from portal.settings import current_settings

FREE = "free"
GRANTING = ("active", "trialing", "past_due")  # in the order in which they count within one plan

# Built once: each webhook about a subscription runs it.
BUMP = (
    update(Customer)
    .where(Customer.id == bindparam("of_customer"))
    .values(access_version=Customer.access_version + 1)
)

Row = TypeVar("Row")


def changed(customer_id: int) -> None:
    """Say, in the transaction that changes a customer's access, that what was cached of it is stale. Flushes."""
    db.session.connection().execute(BUMP, {"of_customer": customer_id})


def own_or_404(row: Row | None, customer: Customer | None) -> Row:
    """The row if it is this customer's. Somebody else's is as absent as one that never was."""
    if row is None or customer is None or getattr(row, "customer_id", None) != customer.id:
        raise NotFound("There is nothing here, or it belongs to another account.")
    return row


@dataclass(frozen=True)
class Access:
    """What a customer may use now. `until` is when a grace period or a scheduled end takes it away."""

    tier: str
    plan_name: str
    status: str  # the deciding subscription's, "free" or "suspended"
    entitlements: dict[str, Any] = field(default_factory=dict)
    until: datetime | None = None
    subscription: Subscription | None = None


def of(
    customer: Customer | None,
    now: datetime | None = None,
    *,
    plans: Sequence[Plan] | None = None,
    subscriptions: Sequence[Subscription] | None = None,
) -> Access:
    """The customer's access, from what they bought and their clock; stored nowhere.

    Three queries, fewer for a page that has the plans (all of them, withdrawn ones too) or the customer's
    subscriptions at hand.
    """
    plans = plans if plans is not None else db.session.execute(select(Plan)).scalars().all()
    if customer is None:
        return decide([], plans, suspended=False, now=clock.now(now), grace=_grace())
    if subscriptions is None:
        query = select(Subscription).filter_by(customer_id=customer.id).where(Subscription.status.in_(GRANTING))
        subscriptions = db.session.execute(query).scalars().all()
    once = select(Purchase.tier).filter_by(customer_id=customer.id, kind="plan", state="paid", interval=None)
    once = once.where(~_taken_back())
    return decide(
        subscriptions,
        plans,
        suspended=customer.suspended_at is not None,
        now=clock.now(now or customer.clock_at),
        grace=_grace(),
        extended=customer.grace_until,
        owned=[tier for tier in db.session.execute(once).scalars() if tier],
    )


def _taken_back() -> ColumnElement[bool]:
    """Whether all that a one-time plan's order paid is withdrawn now, by refunds or disputes."""
    return exists().where(
        Payment.purchase_id == Purchase.id, Payment.amount > 0, Payment.amount_withdrawn >= Payment.amount
    )


def decide(
    subscriptions: Sequence[Subscription],
    plans: Sequence[Plan],
    *,
    suspended: bool,
    now: datetime,
    grace: timedelta,
    extended: datetime | None = None,
    owned: Sequence[str] = (),
) -> Access:
    """The same without a database: of several subscriptions the highest plan counts, then the best status.

    `extended` is until when an admin lets an unpaid plan stay at least. `owned` are tiers that were paid once and
    do not end; a subscription to a higher one outranks them.
    """
    by_tier = {plan.tier: plan for plan in plans}
    positions = {plan.tier: plan.position for plan in plans}
    granting = [one for one in subscriptions if one.tier and grants(one, now, _longer(one, grace, extended))]
    best = max(granting, key=lambda one: _rank(one, by_tier), default=None)
    tier, status = (best.tier, best.status) if best and best.tier else (FREE, FREE)
    kept = max(owned, key=lambda one: positions.get(one, -1), default=None)
    if kept and positions.get(kept, -1) > positions.get(tier, -1):
        tier, status, best = kept, "active", None
    plan = by_tier.get(tier)
    return Access(
        tier=tier,
        plan_name=plan.name if plan else tier.capitalize(),
        status="suspended" if suspended else status,
        entitlements=plan.entitlements if plan else {},
        until=_until(best, _longer(best, grace, extended)) if best else None,
        subscription=best,
    )


def deciding(
    subscriptions: Sequence[Subscription], plans: Sequence[Plan], customer: Customer
) -> Subscription | None:
    """Which of the customer's subscriptions counts; None where none gives access now."""
    now, extended = clock.now(customer.clock_at), customer.grace_until
    found = decide(subscriptions, plans, suspended=False, now=now, grace=_grace(), extended=extended)
    return found.subscription


def grants(subscription: Subscription, now: datetime, grace: timedelta) -> bool:
    """Whether a subscription gives its tier now: active and trialing do, past_due within the grace period."""
    if subscription.status == "past_due":
        return subscription.past_due_since is None or now < subscription.past_due_since + grace
    return subscription.status in GRANTING


def grace_of(subscription: Subscription, customer: Customer) -> timedelta:
    """How long a failed payment leaves this subscription's plan; an admin may have given longer."""
    return _longer(subscription, _grace(), customer.grace_until)


def _longer(subscription: Subscription, grace: timedelta, extended: datetime | None) -> timedelta:
    since = subscription.past_due_since
    return max(grace, extended - since) if extended and since else grace


def _rank(subscription: Subscription, plans: dict[str, Plan]) -> tuple[int, int]:
    plan = plans.get(subscription.tier or "")
    return (plan.position if plan else -1, -GRANTING.index(subscription.status))


def _until(subscription: Subscription, grace: timedelta) -> datetime | None:
    if subscription.status == "past_due" and subscription.past_due_since:
        return subscription.past_due_since + grace
    return subscription.cancel_at


def _grace() -> timedelta:
    return timedelta(days=current_settings().grace_days)
