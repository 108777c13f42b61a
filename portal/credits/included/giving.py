"""Giving the credits of paid periods: each month once, when it begins.

The first month is given with the invoice that pays it, the others of a longer period by a scheduled task. After an
upgrade the rest of the month gets the difference. Credits that were given are never taken back by a downgrade.
"""

from collections.abc import Iterable
from datetime import datetime
from fractions import Fraction
from functools import partial

import structlog
from sqlalchemy import func, select
from sqlalchemy.orm import aliased

from portal import clock
from portal.allowances import billing_months
from portal.allowances.billing_months import BillingMonth
from portal.catalogue import items
from portal.credits import grants
from portal.credits.included import amounts, reversals
from portal.customers import access
from portal.extensions import db, once_committed
from portal.models import Customer, PeriodCredits, PlanPeriod
from portal.sync import locks

log = structlog.get_logger()

AT_ONCE = 500  # periods in one run
TELL_AT = Fraction(1, 5)  # an email is sent once no more than this part remains


def give(periods: Iterable[PlanPeriod], now: datetime) -> int:
    """Give what is due of paid periods at the customer's `now`, and return for how many months. Flushes.

    The customer is locked. It can be repeated.
    """
    return sum(_give(period, now) for period in periods)


def _give(period: PlanPeriod, now: datetime) -> int:
    begun, period.next_at = months(period, now)
    known = set(db.session.execute(select(PeriodCredits.starts_at).filter_by(period_id=period.id)).scalars())
    due = [month for month in begun if month.start not in known]
    for month in due:
        _give_month(period, month, now)
    if due:
        access.mark_changed(period.customer_id)
        reversals.settle(period.mode, period.invoice_id)  # of a payment that is withdrawn already
    db.session.flush()
    return len(due)


def months(period: PlanPeriod, now: datetime) -> tuple[list[BillingMonth], datetime | None]:
    """Return the months of a paid period that have begun, and when the next one begins, if there is one."""
    if not period.credits or period.invoice_id is None:
        return [], None
    if period.is_trial:
        return ([] if _had_trial(period) else [BillingMonth(period.starts_at, period.ends_at)]), None
    begun: list[BillingMonth] = []
    for month in billing_months.of_period(period.anchor_at, period.starts_at, period.ends_at):
        if max(month.start, period.from_at) >= _end(period, month):
            continue
        if month.start > now:
            return begun, month.start
        begun.append(month)
    return begun, None


def _had_trial(period: PlanPeriod) -> bool:
    """Return whether another trial period of the subscription gave its credits: one that was extended, say."""
    mine = select(PeriodCredits.id).join(PlanPeriod, PlanPeriod.id == PeriodCredits.period_id)
    same = {"mode": period.mode, "subscription_id": period.subscription_id, "is_trial": True}
    query = mine.filter_by(**same).where(PlanPeriod.id != period.id)
    return db.session.execute(query.limit(1)).first() is not None


def _end(period: PlanPeriod, month: BillingMonth) -> datetime:
    return min(month.end, period.ends_at, period.ended_at or period.ends_at)


def _give_month(period: PlanPeriod, month: BillingMonth, now: datetime) -> None:
    """Give the credits of one month, and record it. A month whose credits would have expired gives none."""
    assert period.invoice_id is not None
    assert period.paid_at is not None
    since, until = max(month.start, period.from_at), _end(period, month)
    before = max((amounts.unused(one, since) for one in _given_for(period, since)), default=Fraction(0))
    credits = amounts.difference(period.credits, month, since, until, before)
    expires = amounts.expiry(period, month, until, period.paid_at)
    row = PeriodCredits(
        customer_id=period.customer_id,
        period_id=period.id,
        starts_at=month.start,
        ends_at=month.end,
        from_at=since,
        until_at=until,
        level=period.credits,
        credits=credits,
        expires_at=expires,
        created_at=clock.now(),
    )
    if credits and expires > now:
        plan = items.plan_of(period.tier)
        note = f"Included in {plan.name if plan else period.tier.capitalize()}"
        grant = grants.give(period.customer_id, credits, expires, _reference(period.invoice_id), note, now=now)
        grant.warn_at = int(credits * TELL_AT)
        row.grant_id = grant.id
    db.session.add(row)
    db.session.flush()
    once_committed(
        log.info, "included_credits", customer=period.customer_id, credits=credits, invoice=period.invoice_id
    )


def _given_for(period: PlanPeriod, moment: datetime) -> Iterable[PeriodCredits]:
    """Return the credits of the subscription's other plans that were for a time, without those of a trial."""
    query = select(PeriodCredits).join(PlanPeriod, PlanPeriod.id == PeriodCredits.period_id)
    same = query.where(
        PlanPeriod.mode == period.mode,
        PlanPeriod.subscription_id == period.subscription_id,
        PlanPeriod.id != period.id,
        ~PlanPeriod.is_trial,
        PeriodCredits.from_at <= moment,
        PeriodCredits.until_at > moment,
    )
    return db.session.execute(same).scalars()


def _reference(invoice_id: str) -> str:
    """Return the ledger's reference: the invoice, with a number for each further month that it paid."""
    earlier = select(func.count(PeriodCredits.id)).join(PlanPeriod, PlanPeriod.id == PeriodCredits.period_id)
    number = db.session.execute(earlier.where(PlanPeriod.invoice_id == invoice_id)).scalar_one()
    return f"{invoice_id}:{number + 1}" if number else invoice_id


def run() -> int:
    """Scheduled task: give the months that have begun of periods that are paid for longer. Commits after each."""
    query = select(PlanPeriod.id).join(Customer, Customer.id == PlanPeriod.customer_id)
    query = query.order_by(PlanPeriod.next_at).limit(AT_ONCE)
    on_time = query.where(PlanPeriod.next_at <= clock.now(), Customer.clock_at.is_(None))
    # From the few customers on a clock: an index of periods has nothing to compare with each one's time.
    frozen = aliased(Customer)
    theirs = PlanPeriod.customer_id.in_(select(frozen.id).where(frozen.clock_at.is_not(None)))
    on_a_clock = query.where(theirs, PlanPeriod.next_at <= Customer.clock_at)
    due = [one for which in (on_time, on_a_clock) for one in db.session.execute(which).scalars()]
    db.session.commit()
    given = 0
    for period_id in due:
        owner_id = locks.lock_owner(partial(_owner, period_id))
        period = db.session.get_one(PlanPeriod, period_id, populate_existing=True)
        given += give([period], clock.now(db.session.get_one(Customer, owner_id).clock_at))
        db.session.commit()
    return given


def _owner(period_id: int) -> int | None:
    return db.session.execute(select(PlanPeriod.customer_id).filter_by(id=period_id)).scalar_one_or_none()
