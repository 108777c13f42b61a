"""A customer's credit and payment history in one list, newest first.

Four tables share one order: created_at, then the source, then its id. Each source is read along its own index and
stops after a page, so a page costs the same with ten rows and with millions.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Select,
    String,
    bindparam,
    or_,
    select,
    tuple_,
    union_all,
)

from portal.credits.history import sources
from portal.credits.history.sources import Source
from portal.enums import State
from portal.errors import InvalidInput
from portal.extensions import db
from portal.models import CreditEntry, Customer, InvoiceStatus, PaidState, PaymentStatus, ReversalState
from portal.payments import status

PAGE = 50  # rows
SEARCHED = 200_000  # the most ledger entries that one page of a search reads
EXPORTED = 1000  # rows that an export fetches at a time

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
ESCAPE = "/"
MOST = bindparam("most", type_=Integer)
# The enum of each kind's statuses. Other kinds have the statuses of reversals.
READ_AS: dict[str, type[State]] = {
    "purchase": PaymentStatus,
    "payment": PaymentStatus,
    "invoice": InvoiceStatus,
}
REFUNDABLE = (PaymentStatus.SUCCEEDED, InvoiceStatus.PAID, PaidState.PARTLY_PAID, PaidState.PARTLY_REFUNDED)
CURSOR = re.compile(r"([0-9]{1,17})-([0-3])-([0-9]{1,18})")


@dataclass(frozen=True)
class Filter:
    """The requested rows: a kind from sources.KINDS (all if empty), from `since` to before `until`, matching
    words.
    """

    kind: str = ""
    since: datetime | None = None
    until: datetime | None = None
    words: str = ""


@dataclass(frozen=True)
class Position:
    """A row's position in the order. As text it is a page's cursor."""

    created_at: datetime
    source: int
    id: int

    def __str__(self) -> str:
        return f"{(self.created_at - EPOCH) // MICROSECOND}-{self.source}-{self.id}"

    @classmethod
    def read(cls, cursor: str) -> "Position":
        """Parse a cursor. Raises InvalidInput."""
        found = CURSOR.fullmatch(cursor)
        if found is None:
            words = "This page of the history does not exist."
            raise InvalidInput(words, errors={"before": words}, action=("/history", "See the newest"))
        return cls(EPOCH + int(found[1]) * MICROSECOND, int(found[2]), int(found[3]))


@dataclass(frozen=True)
class Row:
    """One line of the history.

    `amount` is in minor units of `currency`: the amount paid (or, as its status says, not paid), negative if
    returned; None if no money is involved. `credits` and `balance` are None if no credits are involved.
    """

    created_at: datetime
    source: int
    id: int
    kind: str  # an entry's reason, "payment", a reversal's kind, or "invoice"
    description: str
    reference: str
    amount: int | None
    currency: str | None
    credits: int | None
    balance: int | None  # of credits, after this row
    status: str | None
    url: str | None  # the receipt, or the hosted invoice
    document_url: str | None  # the invoice of an order
    credited: int | None = None  # what credit notes took off an invoice, in minor units of `currency`
    from_balance: int | None = None  # how an invoice changed the customer's balance, as on Invoice

    @property
    def state(self) -> State | None:
        """Return the status with its label and tone, or None if the row has none."""
        return None if self.status is None else status.read(self.status, READ_AS.get(self.kind, ReversalState))

    @property
    def is_refundable(self) -> bool:
        """Return whether part of the payment can still be refunded."""
        return self.kind in READ_AS and bool(self.amount) and self.state in REFUNDABLE

    @property
    def position(self) -> Position:
        """Return its position in the order."""
        return Position(self.created_at, self.source, self.id)


def page(
    customer: Customer, wanted: Filter, before: Position | None = None, size: int = PAGE
) -> tuple[list[Row], Position | None]:
    """Return the rows after this position, and the next position if there may be more. Runs one query, two for a
    search.

    A search that reaches its limit returns what it has found, possibly nothing, and where it stopped.
    """
    stop = _stop(customer, wanted, before)
    looked_at = replace(wanted, since=stop) if stop else wanted
    found = db.session.execute(*query(customer, looked_at, before, size + 1))
    rows = [Row(*row) for row in found]
    if len(rows) > size:
        return rows[:size], rows[size - 1].position
    return rows, Position(stop, sources.ENTRY, 0) if stop else None


def everything(customer: Customer, wanted: Filter) -> Iterator[Row]:
    """Yield every row. No transaction stays open between two queries, however slow the download is."""
    before: Position | None = None
    while True:
        db.session.commit()
        db.session.connection(execution_options={"sqlite_begin": "DEFERRED"})  # read-only
        rows, before = page(customer, wanted, before, EXPORTED)
        db.session.commit()
        yield from rows
        if before is None:
            return


def _stop(customer: Customer, wanted: Filter, before: Position | None) -> datetime | None:
    """Return how far back one page of a search reads; None if it reads the whole ledger."""
    if not wanted.words or wanted.kind not in ("", "spends"):
        return None
    entry = CreditEntry
    bounds = [entry.customer_id == customer.id]
    bounds += [entry.created_at < before.created_at] if before else []
    bounds += [entry.created_at < wanted.until] if wanted.until else []
    bounds += [entry.created_at > wanted.since] if wanted.since else []
    order = (entry.created_at.desc(), entry.id.desc())
    last = select(entry.created_at).where(*bounds).order_by(*order).offset(SEARCHED).limit(1)
    return db.session.execute(last).scalar_one_or_none()


def query(
    customer: Customer, wanted: Filter, before: Position | None, limit: int
) -> tuple[Select[Any], dict[str, Any]]:
    """Return the statement of a page, and its parameters."""
    words = wanted.words.split()
    values: dict[str, Any] = {"customer": customer.id, "mode": customer.mode, "most": limit}
    values |= {"since": wanted.since, "until": wanted.until}
    values |= {f"word_{number}": _escaped(word) for number, word in enumerate(words)}
    if before:
        values |= {"moment": before.created_at, "id": before.id}
    shape = Shape(
        wanted.kind, bool(wanted.since), bool(wanted.until), len(words), before.source if before else None
    )
    return _statement(shape), values


@dataclass(frozen=True)
class Shape:
    """The parts of a query that determine its statement. Everything else is a parameter."""

    kind: str
    since: bool
    until: bool
    words: int
    after: int | None  # the source of the row that the page follows


@lru_cache(maxsize=256)
def _statement(shape: Shape) -> Select[Any]:
    """Build the statement once per shape, because building it takes longer than running it."""
    found = union_all(*(_first(source, shape) for source in sources.of(shape.kind))).subquery()
    order = (found.c.created_at.desc(), found.c.source.desc(), found.c.id.desc())
    return select(*found.c).order_by(*order).limit(MOST)


def _first(source: Source, shape: Shape) -> Select[Any]:
    """Select a source's first rows after the position: at most one page, along the index of its order."""
    conditions = [*_when(source, shape), *_after(source, shape.after), *_matching(source, shape.words)]
    order = (source.created_at.desc(), source.id.desc())
    rows = source.rows.where(*conditions).order_by(*order).limit(MOST)
    return select(*rows.subquery().c)  # SQLite accepts an ordered SELECT in a UNION only as a subquery


def _when(source: Source, shape: Shape) -> Iterator[ColumnElement[bool]]:
    if shape.since:
        yield source.created_at >= bindparam("since", type_=source.created_at.type)
    if shape.until:
        yield source.created_at < bindparam("until", type_=source.created_at.type)


def _after(source: Source, after: int | None) -> Iterator[ColumnElement[bool]]:
    """Yield the condition for rows after the position: within one moment, rows of a lower source come later."""
    if after is None:
        return
    moment = bindparam("moment", type_=source.created_at.type)
    if source.rank == after:
        yield tuple_(source.created_at, source.id) < tuple_(moment, bindparam("id", type_=BigInteger))
    elif source.rank < after:
        yield source.created_at <= moment
    else:
        yield source.created_at < moment


def _matching(source: Source, words: int) -> Iterator[ColumnElement[bool]]:
    """Yield the condition for each word, which has to occur in one of the row's texts."""
    for number in range(words):
        word = bindparam(f"word_{number}", type_=String)
        yield or_(*(column.icontains(word, escape=ESCAPE) for column in source.searched))


def _escaped(word: str) -> str:
    """Escape the word for LIKE."""
    for special in (ESCAPE, "%", "_"):
        word = word.replace(special, ESCAPE + special)
    return word
