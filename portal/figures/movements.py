"""Movements of MRR: the difference between what a subscription brings and what is booked for it.

A copy may step back for a moment (see "Syncs do not overtake each other"), so a difference is booked once it has
stayed the same for ten minutes.
"""

from datetime import UTC, date, datetime, timedelta

from sqlalchemy import exists, select

from portal import clock
from portal.extensions import db
from portal.figures import daily
from portal.models import MovementKind, MrrMovement, Subscription

QUIET = timedelta(minutes=10)
# A month stays open this long after its end (UTC). What is booked later counts on the day of booking, so that a
# closed month never changes.
OPEN_AFTER = timedelta(days=1)
AT_ONCE = 500  # movements that one run books

DUE = Subscription.mrr != Subscription.mrr_booked


def run() -> int:
    """Book what is due, and return how many movements that were. Commits each."""
    until = clock.now() - QUIET
    due = select(Subscription.id).where(DUE, Subscription.mrr_since <= until)
    found = db.session.execute(due.order_by(Subscription.mrr_since).limit(AT_ONCE)).scalars().all()
    db.session.commit()
    booked = 0
    for subscription_id in found:
        booked += _book(subscription_id, until)
        db.session.commit()
    return booked


def _book(subscription_id: int, until: datetime) -> bool:
    """Book one subscription's difference, if it is still due. Flushes."""
    query = select(Subscription).where(Subscription.id == subscription_id, DUE, Subscription.mrr_since <= until)
    query = query.with_for_update().execution_options(populate_existing=True)
    row = db.session.execute(query).scalar_one_or_none()
    if row is None:
        return False
    newest = select(MrrMovement).filter_by(subscription_id=row.id).order_by(MrrMovement.number.desc()).limit(1)
    last = db.session.execute(newest).scalar_one_or_none()
    now = clock.now()
    kind = _kind(row, last)
    effective = min(_effective(row, kind), now)
    movement = MrrMovement(
        subscription_id=row.id,
        number=last.number + 1 if last else 1,
        mode=row.mode,
        kind=kind,
        currency=row.currency,
        amount=row.mrr - row.mrr_booked,
        mrr_after=row.mrr,
        previous_tier=last.tier if last else None,
        tier=row.tier if row.mrr else None,
        effective_at=effective,
        counts_on=counts_on(effective, now),
        booked_at=now,
    )
    db.session.add(movement)
    row.mrr_booked, row.mrr_opening = row.mrr, False
    db.session.flush()
    daily.add_movement(movement)
    return True


def _kind(row: Subscription, last: MrrMovement | None) -> MovementKind:
    if row.mrr_opening and last is None:
        return MovementKind.OPENING
    if row.mrr == 0:
        return MovementKind.CHURN
    if row.mrr_booked == 0:
        return MovementKind.REACTIVATION if _came_back(row) else MovementKind.NEW
    return MovementKind.EXPANSION if row.mrr > row.mrr_booked else MovementKind.CONTRACTION


def _came_back(row: Subscription) -> bool:
    """Return whether the customer paid for a plan before, left, and had none since."""
    theirs = Subscription.customer_id == row.customer_id
    left = exists().where(MrrMovement.subscription_id == Subscription.id, MrrMovement.kind == MovementKind.CHURN)
    before = select(Subscription.id).where(theirs, left).limit(1)
    running = (
        select(Subscription.id).where(theirs, Subscription.id != row.id, Subscription.mrr_booked > 0).limit(1)
    )
    return db.session.execute(before).first() is not None and db.session.execute(running).first() is None


def _effective(row: Subscription, kind: MovementKind) -> datetime:
    """Return when it happened at Stripe, else when a sync first saw it."""
    seen = row.mrr_since or row.synced_at
    if kind == MovementKind.CHURN:
        return row.ended_at or seen
    if kind == MovementKind.NEW:
        return row.trial_end if row.trial_end and row.trial_end <= seen else row.started_at
    return seen


def counts_on(effective: datetime, booked: datetime) -> date:
    """Return the day (UTC) in whose sums a movement counts: its own, or the day of booking if its month is closed.

    Time zones of customers do not matter: the same instant counts on the same day for everybody.
    """
    own, day = effective.astimezone(UTC).date(), booked.astimezone(UTC).date()
    still = (booked - OPEN_AFTER).astimezone(UTC).date()
    return own if (own.year, own.month) >= (still.year, still.month) else day
