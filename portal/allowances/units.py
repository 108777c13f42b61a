"""How many units of each meter a calendar month includes: the most of the plans that a customer had in it.

The month in which a plan begins or ends includes all of its units. Plans of one month are not added up.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import CompoundSelect, Row, and_, null, or_, select, union_all

from portal.customers import access
from portal.extensions import db
from portal.models import Customer, GivenPlan, Order, Plan, PlanPeriod, Subscription
from portal.settings import current_settings

TOGETHER = 500  # customers looked up by one statement


def included(customer_ids: Sequence[int], since: datetime, until: datetime) -> dict[int, dict[str, int]]:
    """Return the included units by customer and meter key, for a month from `since` to `until`.

    Periods have the numbers that they were sold with. A plan that was given, one that is paid once, and the free
    plan, which everyone has, have no period: the catalogue's numbers of now count. Runs one query.
    """
    found: dict[int, dict[str, int]] = defaultdict(dict)
    for start in range(0, len(customer_ids), TOGETHER):
        some = customer_ids[start : start + TOGETHER]
        for row in db.session.execute(_plans(some, since, until)):
            if row.starts_at is not None and _until(row) <= since:
                continue
            for mine in [found[row.customer_id]] if row.customer_id else [found[one] for one in some]:
                for meter, units in row.included.items():
                    mine[meter] = max(units, mine.get(meter, 0))
    return {customer_id: mine for customer_id, mine in found.items() if mine}


def _plans(customer_ids: Sequence[int], since: datetime, until: datetime) -> CompoundSelect[Any]:
    """Select the periods of customers; then, without times, plans that were given, those paid once, and the free
    plan, which has no customer.
    """
    periods = (
        select(
            PlanPeriod.customer_id,
            PlanPeriod.included,
            PlanPeriod.starts_at,
            PlanPeriod.ends_at,
            PlanPeriod.ended_at,
            PlanPeriod.invoice_id,
            Subscription.status,
            Customer.grace_until,
        )
        .join(Customer, Customer.id == PlanPeriod.customer_id)
        .outerjoin(
            Subscription,
            and_(Subscription.mode == PlanPeriod.mode, Subscription.stripe_id == PlanPeriod.subscription_id),
        )
        .where(PlanPeriod.customer_id.in_(customer_ids), PlanPeriod.ends_at > since, PlanPeriod.from_at < until)
    )
    timeless = [null() for _ in range(6)]
    given = select(GivenPlan.customer_id, Plan.included, *timeless).join(Plan, Plan.tier == GivenPlan.tier)
    given = given.where(
        GivenPlan.customer_id.in_(customer_ids),
        GivenPlan.created_at < until,
        or_(GivenPlan.ended_at.is_(None), GivenPlan.ended_at > since),
        or_(GivenPlan.until.is_(None), GivenPlan.until > since),
    )
    once = select(Order.customer_id, Plan.included, *timeless).join(Plan, Plan.tier == Order.tier)
    once = once.where(Order.customer_id.in_(customer_ids), Order.paid_at < until, *access.paid_once())
    free = select(null(), Plan.included, *timeless).filter_by(tier=access.FREE)
    return union_all(periods, given, once, free)


def _until(period: Row[Any]) -> datetime:
    """Return until when a period includes its units. One whose payment failed does so for the grace period."""
    until: datetime = period.ended_at or period.ends_at
    if period.invoice_id is None and period.status is not None and period.status.is_owing:
        grace = period.starts_at + timedelta(days=current_settings().grace_days)
        until = min(until, max(grace, period.grace_until or grace))
    return until
