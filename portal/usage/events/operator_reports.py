"""Usage reported by the operator's own services, for any number of customers at once.

Each customer's events are accepted or refused separately, so that one customer cannot stop the metering of others.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter

from sqlalchemy import Row, select

from portal.errors import NotFound, PortalError, Suspended
from portal.extensions import db
from portal.models import Customer, User
from portal.usage import limits
from portal.usage.events import coverage, reports, usage_events
from portal.usage.events.coverage import NoAgreement
from portal.usage.events.reports import Event, Share
from portal.usage.events.usage_events import Recorded
from portal.usage.included import taking
from portal.usage.limits import SpendLimitReached
from portal.usage.monthly_run.months import Month


@dataclass(frozen=True)
class NotTaken:
    """A refused event, by its index in the report."""

    index: int
    customer_id: int
    why: PortalError


@dataclass(frozen=True)
class Report:
    """The result of an operator's report. `late` events go on the bill of `billed_with`."""

    accepted: int
    duplicates: int
    late: int
    billed_with: Month | None
    refused: list[NotTaken]


def record(events: Sequence[Event], now: datetime) -> Report:
    """Store the events that are new and allowed. Can be repeated: an identifier counts once, forever. Flushes.

    Raises InvalidInput or Repeated, with the index, only for malformed events. Then nothing is stored.
    """
    shares = reports.read_for_operator(events, now)
    known = _customers(shares)
    uncovered = {one: _uncovered(one, shares[one]) for one in shares if one in known and known[one][1] is None}
    accepted = duplicates = late = 0
    refused: dict[int, PortalError] = {}
    listed: list[NotTaken] = []
    for customer_id, share in shares.items():
        try:
            with db.session.begin_nested():
                beyond = uncovered.get(customer_id, {})
                recorded = _record(customer_id, share, known.get(customer_id), beyond)
        except PortalError as why:
            refused[customer_id] = why
            listed += [NotTaken(index, customer_id, why) for index, _ in share.places]
            continue
        listed += [NotTaken(index, customer_id, beyond[name]) for index, name in share.places if name in beyond]
        accepted, duplicates = accepted + recorded.accepted, duplicates + recorded.duplicates
        late += share.batch.late
    _tell(refused)
    billed_with = next((share.batch.billed_with for share in shares.values()), None)
    return Report(accepted, duplicates, late, billed_with, sorted(listed, key=attrgetter("index")))


def _customers(ids: Iterable[int]) -> dict[int, Row[int, datetime | None]]:
    query = select(Customer.id, Customer.suspended_at).join(User, User.id == Customer.user_id)
    found = db.session.execute(query.where(Customer.id.in_(list(ids)), User.deleted_at.is_(None)))
    return {row[0]: row for row in found}


def _uncovered(customer_id: int, share: Share) -> Mapping[str, NoAgreement]:
    """Return which of a customer's events neither an agreement nor the included units cover. Flushes.

    All customers of a report are asked before anything is recorded, so that locks are taken in one order.
    """
    names = coverage.uncovered(customer_id, share.batch.rows)
    if not names:
        return {}
    order = (name for _, name in share.places)
    return taking.refused(customer_id, share.batch.rows, taking.in_order(share.batch.rows, order, names))


def _record(
    customer_id: int,
    share: Share,
    customer: Row[int, datetime | None] | None,
    uncovered: Mapping[str, NoAgreement],
) -> Recorded:
    """Store one customer's events, except those that nothing covers.

    Raises the error for a customer who is refused as a whole. Then none is stored.
    """
    if customer is None:
        raise NotFound("There is no customer with this id.")
    if customer[1] is not None:
        raise Suspended("This customer is suspended.")
    batch = share.without(set(uncovered))
    limit = limits.hard_stop(customer_id)
    recorded = usage_events.record(customer_id, batch) if batch.rows else Recorded(0, 0)
    if recorded.accepted:
        limits.enforce(customer_id, limit, (row.month for row in batch.rows))
    return recorded


def _tell(refused: dict[int, PortalError]) -> None:
    """Mail customers who were stopped by their own limit, after all usage is written."""
    for customer_id, why in refused.items():
        if isinstance(why, SpendLimitReached):
            limits.tell_stopped(customer_id, why)
