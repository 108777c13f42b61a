"""Usage that the operator's own services report, for any number of customers at once.

Each customer's events are taken or refused by themselves, so that one customer cannot keep the others from being
metered.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter

from sqlalchemy import Row, select

from portal.errors import NotFound, PortalError, Suspended
from portal.extensions import db
from portal.models import Customer, User
from portal.usage import batches, coverage, limits, metering
from portal.usage.batches import Event, Share
from portal.usage.coverage import NoAgreement
from portal.usage.limits import SpendLimitReached
from portal.usage.metering import Recorded
from portal.usage.months import Month


@dataclass(frozen=True)
class NotTaken:
    """An event that its customer may not take now, by its index in the report."""

    index: int
    customer_id: int
    why: PortalError


@dataclass(frozen=True)
class Report:
    """What became of an operator's report. `late` events go on the bill of `billed_with`."""

    accepted: int
    duplicates: int
    late: int
    billed_with: Month | None
    refused: list[NotTaken]


def record(events: Sequence[Event], now: datetime) -> Report:
    """Store what is new and allowed. Any number of times: an identifier counts once for ever. Flushes.

    Raises InvalidInput, Repeated for malformed events alone, with the index: nothing is stored then.
    """
    shares = batches.read_for_operator(events, now)
    known = _customers(shares)
    accepted = duplicates = late = 0
    refused: dict[int, PortalError] = {}
    listed: list[NotTaken] = []
    for customer_id, share in shares.items():
        try:
            with db.session.begin_nested():
                recorded, uncovered = _record(customer_id, share, known.get(customer_id))
        except PortalError as why:
            refused[customer_id] = why
            listed += [NotTaken(index, customer_id, why) for index, _ in share.places]
            continue
        listed += [
            NotTaken(index, customer_id, NoAgreement()) for index, name in share.places if name in uncovered
        ]
        accepted, duplicates = accepted + recorded.accepted, duplicates + recorded.duplicates
        late += share.batch.late
    _tell(refused)
    billed_with = next((share.batch.billed_with for share in shares.values()), None)
    return Report(accepted, duplicates, late, billed_with, sorted(listed, key=attrgetter("index")))


def _customers(ids: Iterable[int]) -> dict[int, Row[int, datetime | None]]:
    query = select(Customer.id, Customer.suspended_at).join(User, User.id == Customer.user_id)
    found = db.session.execute(query.where(Customer.id.in_(list(ids)), User.deleted_at.is_(None)))
    return {row[0]: row for row in found}


def _record(
    customer_id: int, share: Share, customer: Row[int, datetime | None] | None
) -> tuple[Recorded, set[str]]:
    """Store one customer's events but for those that no agreement covers, whose identifiers are given too.

    Raises what this customer is refused with: then none is stored.
    """
    if customer is None:
        raise NotFound("There is no customer with this id.")
    if customer[1] is not None:
        raise Suspended("This customer is suspended.")
    uncovered = coverage.uncovered(customer_id, share.batch.rows)
    batch = share.without(uncovered)
    limit = limits.hard_stop(customer_id)
    recorded = metering.record(customer_id, batch) if batch.rows else Recorded(0, 0)
    if recorded.accepted:
        limits.enforce(customer_id, limit, (row.month for row in batch.rows))
    return recorded, uncovered


def _tell(refused: dict[int, PortalError]) -> None:
    """Tell those whose own limit stopped them, once everybody's usage is written."""
    for customer_id, why in refused.items():
        if isinstance(why, SpendLimitReached):
            limits.tell_stopped(customer_id, why)
