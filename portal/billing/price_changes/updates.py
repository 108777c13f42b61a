"""Making the price changes that were noticed, in the last day before a renewal.

No schedule at Stripe makes them: a customer could release it and keep the previous price.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import ColumnElement, and_, or_, select, update

from portal import clock, gateway
from portal.billing import subscriptions
from portal.billing.plan_change import change_requests, steps
from portal.billing.price_changes import notices
from portal.errors import PortalError
from portal.extensions import db, rows_changed
from portal.models import Customer, PriceChange, Subscription, SubscriptionStatus

log = structlog.get_logger()

BEFORE_RENEWAL = timedelta(days=1)
RETRY_AFTER = timedelta(minutes=10)
AT_ONCE = 200
# It goes on as it is, so that its renewal can have the new price.
RENEWS = (
    Subscription.status.in_(SubscriptionStatus.granting()),
    Subscription.cancel_at.is_(None),
    Subscription.schedule_id.is_(None),
    Subscription.pending_until.is_(None),
)
HAS_LEFT = or_(Subscription.ended_at.is_not(None), Subscription.price_id != PriceChange.from_price)
ON_A_CLOCK = Subscription.customer_id.in_(select(Customer.id).where(Customer.clock_at.is_not(None)))


def run() -> int:
    """Scheduled task: make the price changes that are due, and return how many ended. Commits after each."""
    due = [*_due(), *_due_on_clocks()]
    db.session.commit()
    return sum(_try(change_id) for change_id in due)


def _due() -> Sequence[int]:
    """Return the changes before whose renewal less than a day is left, or whose subscription has changed."""
    now = clock.now()
    renews_soon = and_(
        Subscription.current_period_end > now,
        Subscription.current_period_end <= now + BEFORE_RENEWAL,
        Subscription.current_period_end >= PriceChange.notice_until,
        *RENEWS,
    )
    query = _joined(PriceChange.id).where(
        Customer.clock_at.is_(None),
        PriceChange.notice_until <= now + BEFORE_RENEWAL,
        or_(HAS_LEFT, renews_soon),
    )
    return db.session.execute(query.order_by(PriceChange.notice_until).limit(AT_ONCE)).scalars().all()


def _joined(*what: Any) -> Any:
    joined = select(*what).join(Subscription, Subscription.id == PriceChange.subscription_id)
    return joined.join(Customer, Customer.id == Subscription.customer_id).where(*_open())


def _open() -> tuple[ColumnElement[bool], ...]:
    """Return the conditions of a change that is to be made, and that nobody tried to make just now."""
    before = clock.now() - RETRY_AFTER
    return PriceChange.state == "noticed", or_(PriceChange.tried_at.is_(None), PriceChange.tried_at < before)


def _due_on_clocks() -> list[int]:
    """Return the same of customers on test clocks, each by its own."""
    query = _joined(PriceChange, Subscription.current_period_end, HAS_LEFT, Customer.clock_at)
    query = query.where(ON_A_CLOCK, or_(HAS_LEFT, and_(*RENEWS)))
    rows = db.session.execute(query.order_by(PriceChange.id).limit(AT_ONCE)).all()
    return [
        change.id
        for change, ends, has_left, clock_at in rows
        if has_left or _is_near(ends, change, clock.now(clock_at))
    ]


def _is_near(ends: datetime | None, change: PriceChange, now: datetime) -> bool:
    """Return whether the renewal is the next day's, and the first after the notice or a later one."""
    return ends is not None and now < ends <= now + BEFORE_RENEWAL and ends >= change.notice_until


def _try(change_id: int) -> bool:
    """Take a change up, unless another process has, and make it. The others go on after an error. Commits."""
    take = update(PriceChange).where(PriceChange.id == change_id, *_open())
    is_mine = rows_changed(take.values(tried_at=clock.now()))
    db.session.commit()
    if not is_mine:
        return False
    try:
        return _make(db.session.get_one(PriceChange, change_id))
    except PortalError as reason:  # tried again, until its renewal
        db.session.rollback()
        log.warning("price_change_not_made", change=change_id, reason=reason.code)
        return False


def _make(change: PriceChange) -> bool:
    """Look at the subscription as it is at Stripe, then make the change, drop it or leave it. Commits."""
    subscription = db.session.get_one(Subscription, change.subscription_id)
    customer = db.session.get_one(Customer, subscription.customer_id)
    now = clock.now(customer.clock_at)
    db.session.commit()
    facts = subscriptions.current(subscription)
    item = next((one for one in facts.items if one.price.id == change.from_price), None)
    if item is None or SubscriptionStatus(facts.status).is_final:
        is_made = change.to_price in (one.price.id for one in facts.items)
        return _finish(change, subscription, "done" if is_made else "dropped")
    if facts.schedule or facts.ends_at or facts.pending_until or not _is_near(item.period_end, change, now):
        subscriptions.sync(subscription.mode, subscription.stripe_id)  # so that it is not due any more
        return False
    return _update(change, subscription, item)


def _update(change: PriceChange, subscription: Subscription, item: gateway.SubscriptionItem) -> bool:
    """Claim, call, confirm. Discounts, taxes and other items stay; Stripe resets a quantity that is not named."""
    changed = {"id": item.id, "price": change.to_price, "quantity": item.quantity}
    params = {"update": {"items": [changed], "proration_behavior": "none"}, "price_change": change.id}
    claim = change_requests.claim(subscription, "change", params)
    updated = change_requests.carry_out(claim, lambda: steps.forward(claim))
    if change_requests.follow(claim, updated) != "done":
        return False
    return _finish(change, subscription, "done")


def _finish(change: PriceChange, subscription: Subscription, state: str) -> bool:
    """Write the outcome, once. Commits."""
    mine = update(PriceChange).where(PriceChange.id == change.id, PriceChange.state == "noticed")
    if rows_changed(mine.values(state=state, finished_at=clock.now())):
        notices.note(state, change, subscription)
    db.session.commit()
    return True
