"""A usage report. It is validated as a whole, and refused with the index of its first invalid event."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from operator import itemgetter
from typing import Annotated, Any, ClassVar, NamedTuple

from pydantic import Field, ValidationError

from portal import clock, quantities
from portal.api import operators
from portal.api.bodies import JsonBody, by_field
from portal.catalogue import meters
from portal.errors import Conflict, InvalidInput, PortalError
from portal.usage.monthly_run import closed_months
from portal.usage.monthly_run.months import Month

MOST_EVENTS = 1000
MOST_IDENTIFIER = 100
OPERATOR_S = "op:"  # the prefix of the operator's stored identifiers
VOIDS = f"{OPERATOR_S}void:"  # the prefix of voids: see portal.usage.events.voids
# The same limits as for Stripe's own meter events (https://docs.stripe.com/api/billing/meter-event/create).
OLDEST = timedelta(days=35)
AHEAD = timedelta(minutes=5)


Quantity = Annotated[Decimal, Field(strict=False, ge=0, le=quantities.MOST, decimal_places=quantities.DECIMALS)]
Identifier = Annotated[str, Field(min_length=1, max_length=MOST_IDENTIFIER, pattern=r"^[^\x00-\x1f\x7f]*$")]


class Event(JsonBody):
    """A quantity of a meter, used at a time (default: now), with an identifier that is used once."""

    meter: Annotated[str, Field(min_length=1, max_length=64)]
    quantity: Quantity
    timestamp: Annotated[str, Field(max_length=40)] | None = None
    identifier: Identifier
    customer: Annotated[
        str | None,
        Field(
            pattern=r"^[0-9]{1,18}$",
            description="Whose usage it is, by the id that `/v1/receipt` gives. Required with an operator key, "
            "refused with any other.",
        ),
    ] = None


class Report(JsonBody):
    """1 to 1000 events: all are recorded, or none."""

    exact: ClassVar[bool] = True

    events: Annotated[list[Event], Field(min_length=1, max_length=MOST_EVENTS)]

    @classmethod
    def refusal(cls, error: ValidationError, given: Any) -> PortalError:
        """Return the error of the first invalid event. An earlier one may still be invalid for the database."""
        found = {place: words for place, words in by_field(error).items() if place.startswith("events.")}
        if not found:
            index = MOST_EVENTS if error.errors()[0]["type"] == "too_long" else None
            return InvalidInput(f"Send 1 to {MOST_EVENTS:,} events.", errors=by_field(error), index=index)
        first = min(int(place.split(".")[1]) for place in found)
        if first:
            before, now = cls.model_validate({"events": given["events"][:first]}).events, clock.now()
            read_for_operator(before, now) if operators.is_sent() else read(before, now)
        words = {place: word for place, word in found.items() if place.startswith(f"events.{first}.")}
        return InvalidInput(f"Event {first} was not accepted.", errors=words or found, index=first)


class Repeated(Conflict):
    """One identifier for two different events."""

    code = "identifier_reused"
    title = "An identifier stands there twice"


class Row(NamedTuple):
    """An event as it is stored."""

    identifier: str
    meter_id: int
    units: int
    nanos: int
    occurred_at: datetime
    month: int


@dataclass(frozen=True)
class Batch:
    """A valid report: each identifier once, sorted, so that two concurrent reports never deadlock.

    `late` counts the events of a closed month; they go on the bill of `billed_with`.
    """

    rows: list[Row]
    sent: int
    late: int
    billed_with: Month


@dataclass(frozen=True)
class Share:
    """One customer's part of an operator's report: the indexes of its events, and their stored identifiers."""

    batch: Batch
    places: list[tuple[int, str]]

    def without(self, identifiers: set[str]) -> Batch:
        """Return the batch without these events."""
        rows = [row for row in self.batch.rows if row.identifier not in identifiers]
        return replace(self.batch, rows=rows, sent=sum(name not in identifiers for _, name in self.places))


def read(events: Sequence[Event], now: datetime) -> Batch:
    """Validate each event and decide whose bill it goes on. Raises InvalidInput or Repeated, with an index.

    It opens the transaction that has to store the batch: no month closes until that ends.
    """
    rules, once = _rules(now), dict[str, Row]()
    for index, event in enumerate(events):
        if event.customer is not None:
            raise _refused(index, "customer", "Only an operator key names customers.")
        if event.identifier.startswith(OPERATOR_S):
            raise _refused(index, "identifier", f"Identifiers that begin with `{OPERATOR_S}` are the operator's.")
        _add(once, index, _row(index, event, rules))
    return _batch(once, len(events), rules)


def read_for_operator(events: Sequence[Event], now: datetime) -> dict[int, Share]:
    """Return the same by customer id, lowest first, so that two concurrent reports never deadlock.

    Identifiers are stored with the prefix `op:`, once.
    """
    rules, shares = _rules(now), dict[int, tuple[dict[str, Row], list[tuple[int, str]]]]()
    for index, event in enumerate(events):
        if event.customer is None:
            raise _refused(index, "customer", "Name the customer, by the id that `/v1/receipt` gives.")
        identifier = OPERATOR_S + event.identifier.removeprefix(OPERATOR_S)
        if identifier.startswith(VOIDS):
            raise _refused(index, "identifier", f"Identifiers that begin with `{VOIDS}` take usage back.")
        if len(identifier) > MOST_IDENTIFIER:
            most = MOST_IDENTIFIER - len(OPERATOR_S)
            raise _refused(index, "identifier", f"Use at most {most} characters.")
        once, places = shares.setdefault(int(event.customer), ({}, []))
        _add(once, index, _row(index, event, rules)._replace(identifier=identifier))
        places.append((index, identifier))
    return {one: Share(_batch(rows, len(at), rules), at) for one, (rows, at) in sorted(shares.items())}


class _Rules(NamedTuple):
    """The rules for every event of a report."""

    meters: Mapping[str, int]  # ids by key
    closed: frozenset[int]  # months
    oldest: datetime
    now: datetime
    latest: datetime


def _rules(now: datetime) -> _Rules:
    closed = closed_months.closed_since(Month.of(now - OLDEST))
    ids = {meter.key: meter.id for meter in meters.on_sale()}
    return _Rules(ids, closed, now - OLDEST, now, now + AHEAD)


def _add(once: dict[str, Row], index: int, row: Row) -> None:
    first = once.setdefault(row.identifier, row)
    if first is not row and first[1:4] != row[1:4]:
        raise _repeated(index, row.identifier)


def _batch(once: dict[str, Row], sent: int, rules: _Rules) -> Batch:
    late = [row for row in once.values() if row.month in rules.closed]
    for row in late:
        billed = closed_months.billed_with(Month.of_number(row.month), rules.closed)
        once[row.identifier] = row._replace(month=billed.number)
    rows = sorted(once.values(), key=itemgetter(0))
    return Batch(rows, sent, len(late), closed_months.billed_with(Month.of(rules.now), rules.closed))


def _row(index: int, event: Event, rules: _Rules) -> Row:
    if event.meter not in rules.meters:
        raise _refused(index, "meter", f"There is no such meter: use {', '.join(rules.meters)}.")
    moment = _moment(event.timestamp) if event.timestamp else rules.now
    if moment is None:
        raise _refused(index, "timestamp", "Give a time with its zone, such as 2026-11-21T14:05:00Z.")
    if moment > rules.latest:
        raise _refused(index, "timestamp", "This lies in the future.")
    if moment < rules.oldest:
        raise _refused(index, "timestamp", f"Its period is closed: that is more than {OLDEST.days} days ago.")
    units, nanos = quantities.split(event.quantity)
    number = moment.year * 100 + moment.month
    return Row(event.identifier, rules.meters[event.meter], units, nanos, moment, number)


def _moment(written: str) -> datetime | None:
    """Parse a time to UTC; return None if it is invalid or has no zone."""
    try:
        moment = datetime.fromisoformat(written)
        if moment.tzinfo is UTC:
            return moment
        return moment.astimezone(UTC) if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _refused(index: int, field: str, words: str) -> InvalidInput:
    return InvalidInput(f"Event {index}: {words}", errors={f"events.{index}.{field}": words}, index=index)


def _repeated(index: int, identifier: str) -> Repeated:
    words = f'"{identifier}" stands in this batch already, for something else.'
    return Repeated(f"Event {index}: {words}", errors={f"events.{index}.identifier": words}, index=index)
