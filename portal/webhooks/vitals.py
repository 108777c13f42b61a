"""How well deliveries go: read off the newest events, however many there are."""

from dataclasses import dataclass
from datetime import datetime
from statistics import quantiles

from sqlalchemy import func, select
from sqlalchemy.orm import aliased

from portal.extensions import db
from portal.models import StripeEvent, UnplacedPayment
from portal.purchases import unplaced

NEWEST = 1000  # events that the rates are taken from
OPEN = ("received", "failed")


@dataclass(frozen=True)
class Vitals:
    """Rates over the newest events. None: nothing was delivered yet, or (`oldest_open`) nothing is open."""

    events: int
    success_percent: float | None  # of deliveries, first ones and repeated ones
    p95_seconds: float | None  # from arrival to done, of what was done at the first try
    duplicates: int
    parked: int  # of the newest events: about what is not ours, or not yet
    unplaced: int  # payments that arrived here and that no order is behind
    oldest_open: datetime | None  # arrival of the oldest event that is not done


def read() -> Vitals:
    """The health of the inbox as it is now. One statement."""
    row = aliased(StripeEvent)
    oldest = select(func.min(StripeEvent.received_at)).where(StripeEvent.state.in_(OPEN)).scalar_subquery()
    facts = (row.state, row.attempts, row.failures, row.duplicates, row.received_at, row.finished_at)
    waiting = select(func.count(UnplacedPayment.id)).where(unplaced.is_waiting()).scalar_subquery()
    query = (
        select(*facts, oldest.label("oldest_open"), waiting.label("unplaced"))
        .order_by(row.id.desc())
        .limit(NEWEST)
    )
    newest = db.session.execute(query).all()
    handled = [one for one in newest if one.state != "parked"]  # of which nothing can be said yet
    deliveries = sum(one.attempts + one.duplicates for one in handled)
    failures = sum(one.failures for one in handled)
    return Vitals(
        events=len(newest),
        success_percent=100 * (deliveries - failures) / deliveries if deliveries else None,
        p95_seconds=_p95(
            [
                (one.finished_at - one.received_at).total_seconds()
                for one in newest
                if one.state == "processed" and one.attempts == 1 and one.finished_at
            ]
        ),
        duplicates=sum(one.duplicates for one in newest),
        parked=len(newest) - len(handled),
        unplaced=newest[0].unplaced if newest else 0,
        oldest_open=newest[0].oldest_open if newest else None,
    )


def _p95(seconds: list[float]) -> float | None:
    if len(seconds) < 2:
        return seconds[0] if seconds else None
    return quantiles(seconds, n=20, method="inclusive")[-1]
