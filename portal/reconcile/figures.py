"""Movements of MRR: their sums are what is booked, and what the overview shows."""

from collections.abc import Iterator

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import aliased

from portal.enums import Mode
from portal.extensions import db
from portal.models import DailyFigure, MovementKind, MrrMovement, Subscription
from portal.reconcile.difference import Difference

WHAT = "MRR"


def differences(mode: Mode) -> Iterator[Difference]:
    """Yield all of them for a mode, inside the transaction of `in_database`."""
    yield from booked(mode)
    yield from months(mode)


def booked(mode: Mode) -> Iterator[Difference]:
    """Check that sum(movements) = the newest mrr_after = mrr_booked, for every subscription."""
    sums = (
        select(
            MrrMovement.subscription_id.label("subscription_id"),
            func.sum(MrrMovement.amount).label("total"),
            func.max(MrrMovement.number).label("number"),
        )
        .where(MrrMovement.mode == mode)
        .group_by(MrrMovement.subscription_id)
        .subquery()
    )
    last = aliased(MrrMovement)
    total = func.coalesce(sums.c.total, 0)
    after: ColumnElement[int] = func.coalesce(last.mrr_after, 0)
    query = (
        select(Subscription.stripe_id, Subscription.mrr_booked, total, after)
        .outerjoin(sums, sums.c.subscription_id == Subscription.id)
        .outerjoin(last, (last.subscription_id == Subscription.id) & (last.number == sums.c.number))
        .where(Subscription.mode == mode, or_(total != after, total != Subscription.mrr_booked))
        .order_by(Subscription.id)
    )
    for stripe_id, stored, added_up, after_last in db.session.execute(query):
        found = f"booked {stored}, after the last movement {after_last}"
        yield Difference(mode, WHAT, stripe_id, f"sum of movements {added_up}", found)


def months(mode: Mode) -> Iterator[Difference]:
    """Check that the daily sums of movements are the sums of the movements, by day, kind and currency."""
    rows = select(
        MrrMovement.counts_on, MrrMovement.kind, MrrMovement.currency, func.sum(MrrMovement.amount)
    ).where(MrrMovement.mode == mode)
    rows = rows.group_by(MrrMovement.counts_on, MrrMovement.kind, MrrMovement.currency)
    expected = {
        (day, f"mrr.{kind}", currency): int(total) for day, kind, currency, total in db.session.execute(rows)
    }
    names = [f"mrr.{kind}" for kind in MovementKind]
    stored = select(DailyFigure).where(DailyFigure.mode == mode, DailyFigure.name.in_(names))
    found = {(one.day, one.name, one.currency): one.amount for one in db.session.execute(stored).scalars()}
    for key in sorted({*expected, *found}):
        if expected.get(key, 0) != found.get(key, 0):
            day, name, currency = key
            about = f"{day} {name} {currency}"
            yield Difference(mode, WHAT, about, f"sum of movements {expected.get(key, 0)}", str(found.get(key, 0)))
