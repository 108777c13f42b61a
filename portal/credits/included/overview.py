"""A customer's included credits now: how many, how many are used, and when the month ends."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Select, func, select

from portal.extensions import db
from portal.models import CreditGrant, PeriodCredits, Subscription

SHOWN = 12  # months on the admin page


@dataclass(frozen=True)
class Part:
    """The credits of one month that can still be spent. `credits` is None for those that rolled over."""

    grant_id: int
    credits: int | None
    until: datetime  # the month's end; for those that rolled over, when they expire


@dataclass(frozen=True)
class Included:
    """A customer's included credits. Those that rolled over count as included, as far as they were left."""

    credits: int
    remaining: int
    resets_at: datetime
    renews: bool = True  # False: the plan ends with this month

    @property
    def used(self) -> int:
        """Return how many were spent in this month."""
        return self.credits - self.remaining


def parts(customer_id: int, now: datetime) -> list[Part]:
    """List the included credits that have not expired at the customer's `now`, oldest first. Runs one query."""
    return [_part(one, now) for one in db.session.execute(_at(customer_id, now)).scalars()]


def _at(customer_id: int, now: datetime) -> Select[PeriodCredits]:
    query = select(PeriodCredits).filter_by(customer_id=customer_id).where(PeriodCredits.grant_id.is_not(None))
    return query.where(PeriodCredits.from_at <= now, PeriodCredits.expires_at > now).order_by(PeriodCredits.id)


def _part(one: PeriodCredits, now: datetime) -> Part:
    assert one.grant_id is not None
    if one.until_at > now:
        return Part(one.grant_id, one.credits - one.withheld, one.until_at)
    return Part(one.grant_id, None, one.expires_at)


def left(grant_ids: Sequence[int]) -> dict[int, int]:
    """Return what is left of each grant. Runs one query along the primary key."""
    query = select(CreditGrant.id, CreditGrant.remaining).where(CreditGrant.id.in_(grant_ids))
    return {row.id: row.remaining for row in db.session.execute(query)}


def added(found: Sequence[Part], remaining: Mapping[int, int]) -> Included | None:
    """Return these parts together; None if there are none."""
    if not found:
        return None
    rolled = sum(remaining.get(one.grant_id, 0) for one in found if one.credits is None)
    this_month = [one.until for one in found if one.credits is not None]
    return Included(
        credits=rolled + sum(one.credits or 0 for one in found),
        remaining=sum(remaining.values()),
        resets_at=min(this_month or [one.until for one in found]),
    )


def newest(customer_id: int) -> list[tuple[PeriodCredits, CreditGrant | None]]:
    """List the newest months of included credits, each with its grant; None if nothing was due. Runs one query."""
    query = select(PeriodCredits, CreditGrant).outerjoin(CreditGrant, CreditGrant.id == PeriodCredits.grant_id)
    query = query.where(PeriodCredits.customer_id == customer_id).order_by(PeriodCredits.id.desc()).limit(SHOWN)
    return [(given, grant) for given, grant in db.session.execute(query)]


def current(customer_id: int, now: datetime) -> Included | None:
    """Return a customer's included credits at their `now`, for a page; None if there are none. Runs one query."""
    running = select(Subscription.id).filter_by(customer_id=customer_id, ended_at=None)
    running = running.where(Subscription.tier.is_not(None))
    for_good = running.where(Subscription.cancel_at.is_(None)).exists()
    last_end = running.with_only_columns(func.max(Subscription.cancel_at)).scalar_subquery()
    query = _at(customer_id, now).add_columns(CreditGrant.remaining, for_good, last_end)
    rows = db.session.execute(query.outerjoin(CreditGrant, CreditGrant.id == PeriodCredits.grant_id)).all()
    found = [_part(row[0], now) for row in rows]
    mine = added(found, {part.grant_id: row[1] or 0 for part, row in zip(found, rows, strict=True)})
    if mine is None:
        return None
    is_kept, ends = rows[0][2], rows[0][3]
    return replace(mine, renews=is_kept or (ends is not None and ends > mine.resets_at))
