"""Everything that happened to a customer's credits and money, in one list, the newest first.

Four tables, one order: created_at, then the source, then its id. Each source is read along its own index and
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

from portal.credits import sources
from portal.credits.sources import Source
from portal.errors import InvalidInput
from portal.extensions import db
from portal.models import CreditEntry, Customer

PAGE = 50  # rows
SEARCHED = 200_000  # entries of the ledger that one page of a search reads at most
EXPORTED = 1000  # rows that an export takes at a time

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
ESCAPE = "/"
MOST = bindparam("most", type_=Integer)
CURSOR = re.compile(r"([0-9]{1,17})-([0-3])-([0-9]{1,18})")


@dataclass(frozen=True)
class Filter:
    """What is asked for: a kind of sources.KINDS (all where empty), from `since` to before `until`, with words."""

    kind: str = ""
    since: datetime | None = None
    until: datetime | None = None
    words: str = ""


@dataclass(frozen=True)
class Position:
    """A row's place in the order. As text it is a page's cursor."""

    created_at: datetime
    source: int
    id: int

    def __str__(self) -> str:
        return f"{(self.created_at - EPOCH) // MICROSECOND}-{self.source}-{self.id}"

    @classmethod
    def read(cls, cursor: str) -> "Position":
        """The place that a cursor names. Raises InvalidInput."""
        found = CURSOR.fullmatch(cursor)
        if found is None:
            words = "This page of the history does not exist."
            raise InvalidInput(words, errors={"before": words}, action=("/history", "See the newest"))
        return cls(EPOCH + int(found[1]) * MICROSECOND, int(found[2]), int(found[3]))


@dataclass(frozen=True)
class Row:
    """One line of the history.

    `amount` is in minor units of `currency`: what was paid (or, as its status says, was not), below zero what came
    back; None where it is not about money. `credits` and `balance` are None where no credits did.
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

    @property
    def position(self) -> Position:
        """Where it stands in the order."""
        return Position(self.created_at, self.source, self.id)


def page(
    customer: Customer, wanted: Filter, before: Position | None = None, size: int = PAGE
) -> tuple[list[Row], Position | None]:
    """The rows that follow this position, and where to go on, if there may be more. One query, two for a search.

    A search that has read enough gives what it has found, be it nothing, and where it stopped.
    """
    stop = _stop(customer, wanted, before)
    looked_at = replace(wanted, since=stop) if stop else wanted
    found = db.session.execute(*query(customer, looked_at, before, size + 1))
    rows = [Row(*row) for row in found]
    if len(rows) > size:
        return rows[:size], rows[size - 1].position
    return rows, Position(stop, sources.ENTRY, 0) if stop else None


def everything(customer: Customer, wanted: Filter) -> Iterator[Row]:
    """Every row. No transaction stays open between two queries, however slowly a download takes the rows."""
    before: Position | None = None
    while True:
        db.session.commit()
        db.session.connection(execution_options={"sqlite_begin": "DEFERRED"})  # it only reads
        rows, before = page(customer, wanted, before, EXPORTED)
        db.session.commit()
        yield from rows
        if before is None:
            return


def _stop(customer: Customer, wanted: Filter, before: Position | None) -> datetime | None:
    """How far back a search of the whole ledger looks at once; None where that is all of it."""
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
    """The statement behind a page, and what it is run with."""
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
    """What of a query decides about its statement; everything else is a value that it is run with."""

    kind: str
    since: bool
    until: bool
    words: int
    after: int | None  # the source of the row that the page follows


@lru_cache(maxsize=256)
def _statement(shape: Shape) -> Select[Any]:
    """Built once for each shape: building it takes longer than running it."""
    found = union_all(*(_first(source, shape) for source in sources.of(shape.kind))).subquery()
    order = (found.c.created_at.desc(), found.c.source.desc(), found.c.id.desc())
    return select(*found.c).order_by(*order).limit(MOST)


def _first(source: Source, shape: Shape) -> Select[Any]:
    """A source's first rows after the position: no more than a page of them, along the index of its order."""
    conditions = [*_when(source, shape), *_after(source, shape.after), *_matching(source, shape.words)]
    order = (source.created_at.desc(), source.id.desc())
    rows = source.rows.where(*conditions).order_by(*order).limit(MOST)
    return select(*rows.subquery().c)  # SQLite takes an ordered SELECT in a UNION only as a subquery


def _when(source: Source, shape: Shape) -> Iterator[ColumnElement[bool]]:
    if shape.since:
        yield source.created_at >= bindparam("since", type_=source.created_at.type)
    if shape.until:
        yield source.created_at < bindparam("until", type_=source.created_at.type)


def _after(source: Source, after: int | None) -> Iterator[ColumnElement[bool]]:
    """Further down the list: of rows of one moment those of a lower source come later."""
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
    """Each word has to occur somewhere in what the row says of itself."""
    for number in range(words):
        word = bindparam(f"word_{number}", type_=String)
        yield or_(*(column.icontains(word, escape=ESCAPE) for column in source.searched))


def _escaped(word: str) -> str:
    """The word as LIKE finds it literally."""
    for special in (ESCAPE, "%", "_"):
        word = word.replace(special, ESCAPE + special)
    return word
