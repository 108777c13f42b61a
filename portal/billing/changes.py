"""The intention behind every change of a subscription: one open at a time, each told to Stripe once."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import structlog
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from portal import clock, gateway
from portal.billing import invoices, subscriptions
from portal.errors import Conflict, StripeRefused, StripeUnavailable
from portal.extensions import changed, db
from portal.models import Subscription, SubscriptionChange
from portal.purchases import claims

log = structlog.get_logger()

CALL_LIVES = timedelta(minutes=1)  # longer than any call to Stripe with its retries
DECIDING = ("status", "price_id", "cancel_at", "schedule_id", "pending_until")
Answer = TypeVar("Answer")


class UnderWay(Conflict):
    """Another change of the same subscription was begun at the same moment."""

    code = "change_under_way"
    title = "Your plan is being changed already"


def claim(subscription: Subscription, kind: str, params: dict[str, Any]) -> SubscriptionChange:
    """The intention's row. The same one that was left without an answer is taken up again. Commits.

    Raises UnderWay where another is being carried out, or was since the subscription was read.
    """
    earlier = _open(subscription)
    if earlier is not None:
        if (earlier.kind, earlier.params) == (kind, params):
            return _taken_up(earlier)
        _take(earlier, state="failed", finished_at=clock.now())  # what became of it, the next sync says
    change = SubscriptionChange(
        customer_id=subscription.customer_id,
        mode=subscription.mode,
        subscription_id=subscription.stripe_id,
        kind=kind,
        params=params,
        called_at=clock.now(),
        created_at=clock.now(),
    )
    db.session.add(change)
    try:
        db.session.flush()
    except IntegrityError:
        db.session.rollback()
        raise _under_way() from None
    _require_unchanged(subscription)
    db.session.commit()
    return change


def carry_out(change: SubscriptionChange, ask: Callable[[str], Answer]) -> Answer:
    """Tell Stripe, with the idempotency key that `ask` is given. A definite no ends the change. Commits."""
    try:
        return claims.call(change, ask)
    except StripeRefused:
        finish(change, "failed")
        raise
    except StripeUnavailable:
        change.called_at = None
        db.session.commit()
        raise


def release(change: SubscriptionChange, key: str) -> None:
    """Let go of the schedule that the change does away with, if any: it would overrule what follows."""
    if schedule := change.params.get("release"):
        gateway.of(change.mode).release_schedule(schedule, f"{key}-release")


def apply(change: SubscriptionChange, key: str) -> gateway.Subscription:
    """Have Stripe write the change to the subscription itself, or end it now."""
    if change.params.get("end"):
        return gateway.of(change.mode).cancel_subscription(change.subscription_id, key)
    release(change, key)
    return gateway.of(change.mode).update_subscription(change.subscription_id, change.params["update"], key)


def finish(change: SubscriptionChange, state: str = "done", *, invoice: str | None = None) -> None:
    """Write what became of it, and bring our copies of subscription and invoice to where Stripe is. Commits.

    Where Stripe does not answer, the webhook brings what it did.
    """
    try:
        subscriptions.sync(change.mode, change.subscription_id)
        if invoice:
            invoices.sync(change.mode, invoice)
    except (StripeUnavailable, StripeRefused) as error:
        log.warning("change_not_synced", subscription=change.subscription_id, reason=type(error).__name__)
    change.state, change.finished_at = state, clock.now()  # last: whoever comes next reads what this one did
    db.session.commit()


def not_accepted() -> Conflict:
    """A definite no, in words."""
    return Conflict(
        "Stripe did not accept the change, perhaps because your plan was changed elsewhere.",
        money="Nothing was changed, and you were not charged.",
        action=("/billing", "See your billing"),
    )


def _open(subscription: Subscription) -> SubscriptionChange | None:
    query = select(SubscriptionChange).filter_by(
        mode=subscription.mode, subscription_id=subscription.stripe_id, state="open"
    )
    return db.session.execute(query).scalar_one_or_none()


def _taken_up(change: SubscriptionChange) -> SubscriptionChange:
    _take(change, called_at=clock.now())
    db.session.commit()
    db.session.refresh(change)
    db.session.commit()
    return change


def _require_unchanged(subscription: Subscription) -> None:
    """What was decided about must be what stands there now that nobody else is at it. Raises UnderWay."""
    before = [getattr(subscription, name) for name in DECIDING]
    db.session.refresh(subscription)
    if before != [getattr(subscription, name) for name in DECIDING]:
        db.session.rollback()
        raise _under_way()


def _take(change: SubscriptionChange, **values: Any) -> None:
    """Write to an open change that nobody is carrying out; of two who try, one does. Flushes. Raises UnderWay."""
    left = SubscriptionChange.called_at.is_(None) | (SubscriptionChange.called_at < clock.now() - CALL_LIVES)
    take = update(SubscriptionChange).where(
        SubscriptionChange.id == change.id, SubscriptionChange.state == "open", left
    )
    if not changed(take.values(**values)):
        db.session.rollback()
        raise _under_way()


def _under_way() -> UnderWay:
    return UnderWay(
        "Another change of your plan is being carried out, perhaps from another window. Look at your billing page "
        "in a moment.",
        money="Nothing was changed by this request.",
        action=("/billing", "See your billing"),
    )
