"""Delivery statistics, computed from the newest events."""

from dataclasses import dataclass
from datetime import datetime
from statistics import quantiles

from sqlalchemy import ScalarSelect, func, select
from sqlalchemy.orm import aliased

from portal.extensions import db
from portal.models import (
    EventState,
    FraudWarning,
    Order,
    StripeEvent,
    Subscription,
    SubscriptionStatus,
    UnplacedPayment,
)
from portal.orders import differences, unplaced_payments

NEWEST = 1000  # events that the rates are computed from


@dataclass(frozen=True)
class Vitals:
    """Rates over the newest events. None: nothing was delivered yet, or (`oldest_open`) nothing is open."""

    events: int
    success_percent: float | None  # of deliveries, first and repeated ones
    p95_seconds: float | None  # from arrival to done, of events that succeeded at the first attempt
    duplicates: int
    parked: int  # of the newest events: about objects that are not ours, or not yet
    unplaced: int  # payments that arrived here without an order
    warned: int  # payments with an early fraud warning that can still be acted on
    differing: int  # orders whose paid session differs from what was ordered
    kept: int  # subscriptions that keep their plan although their price gives none
    oldest_open: datetime | None  # arrival of the oldest event that is not done


def read() -> Vitals:
    """Return the inbox's current health. Runs one statement."""
    row = aliased(StripeEvent)
    oldest = (
        select(func.min(StripeEvent.received_at))
        .where(StripeEvent.state.in_(EventState.waiting()))
        .scalar_subquery()
    )
    facts = (row.state, row.attempts, row.failures, row.duplicates, row.received_at, row.finished_at)
    counts = (one.label(name) for name, one in _to_look_at().items())
    query = select(*facts, oldest.label("oldest_open"), *counts).order_by(row.id.desc()).limit(NEWEST)
    newest = db.session.execute(query).all()
    handled = [one for one in newest if one.state != EventState.PARKED]  # the outcome of parked ones is open
    deliveries = sum(one.attempts + one.duplicates for one in handled)
    failures = sum(one.failures for one in handled)
    return Vitals(
        events=len(newest),
        success_percent=100 * (deliveries - failures) / deliveries if deliveries else None,
        p95_seconds=_p95(
            [
                (one.finished_at - one.received_at).total_seconds()
                for one in newest
                if one.state == EventState.PROCESSED and one.attempts == 1 and one.finished_at
            ]
        ),
        duplicates=sum(one.duplicates for one in newest),
        parked=len(newest) - len(handled),
        unplaced=newest[0].unplaced if newest else 0,
        warned=newest[0].warned if newest else 0,
        differing=newest[0].differing if newest else 0,
        kept=newest[0].kept if newest else 0,
        oldest_open=newest[0].oldest_open if newest else None,
    )


def _to_look_at() -> dict[str, ScalarSelect[int]]:
    """Return what an admin has to look at, as counts."""
    is_running = Subscription.status.not_in(SubscriptionStatus.final())
    queries = {
        "unplaced": select(func.count(UnplacedPayment.id)).where(unplaced_payments.is_waiting()),
        "warned": select(func.count(FraudWarning.id)).where(FraudWarning.is_actionable),
        "differing": select(func.count(Order.id)).where(differences.is_differing()),
        "kept": select(func.count(Subscription.id)).where(Subscription.tier_kept, is_running),
    }
    return {name: query.scalar_subquery() for name, query in queries.items()}


def _p95(seconds: list[float]) -> float | None:
    if len(seconds) < 2:
        return seconds[0] if seconds else None
    return quantiles(seconds, n=20, method="inclusive")[-1]
