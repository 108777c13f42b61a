"""Writes to the ledger: the stored balance and its entry change together, or not at all.

On PostgreSQL this is one statement: an UPDATE whose result feeds the INSERT. SQLite has no CTE that writes, so
there it is two statements, and every writing transaction holds the one write lock from its start.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Executable,
    Table,
    Update,
    bindparam,
    not_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm.attributes import set_committed_value
from sqlalchemy.orm.util import identity_key

from portal import audit, clock, instruments
from portal.credits import thresholds
from portal.customers import suspensions
from portal.errors import Conflict
from portal.extensions import db
from portal.models import Base, CreditEntry, Customer

ONCE = ("customer_id", "reason", "reference")
ENTRIES: Table = Base.metadata.tables["credit_entries"]
CUSTOMERS: Table = Base.metadata.tables["customers"]
COLUMNS = tuple(column.name for column in ENTRIES.columns if column.name != "id")
PARAMETERS = tuple((f"new_{name}", name) for name in COLUMNS if name != "balance_after")

# The audit log's action for an entry's reason. Spends are left out, because the ledger itself records each.
DONE = {
    "purchase": "bought",
    "grant": "granted",
    "expiry": "expired",
    "refund": "taken_back",
    "dispute": "taken_back",
    "reinstatement": "put_back",
    "adjustment": "adjusted",
}


class ReferenceReused(Conflict):
    """A reference that the ledger already has with another amount."""

    code = "reference_reused"
    title = "That reference was used before"


@dataclass(frozen=True, slots=True)
class Draft:
    """An entry to be written. `amount` in whole credits, negative to take them."""

    customer_id: int
    amount: int
    reason: str
    reference: str
    description: str
    order_id: int | None
    created_at: datetime


def post(
    customer_id: int,
    amount: int,
    reason: str,
    reference: str,
    *,
    description: str = "",
    order_id: int | None = None,
    **facts: str,
) -> CreditEntry:
    """Add whole credits, or take them if `amount` is negative; the balance may become debt. Flushes.

    It is also written to the audit log, with these facts. Repeating a reference returns the existing entry. Raises
    ReferenceReused if that has another amount.
    """
    draft = Draft(customer_id, amount, reason, reference, description, order_id, clock.now())
    entry = add(draft)
    assert entry is not None, "a ledger of no customer"
    audit.record(
        f"credits.{DONE[reason]}",
        customer_id=customer_id,
        subject=str(entry.id),
        after={"credits": amount, "balance": entry.balance_after, **facts},
        key=f"credits:{entry.id}",
    )
    if amount > 0:
        suspensions.review(customer_id, about=str(entry.id))
    return entry


def add(draft: Draft, *, only_if_covered: bool = False) -> CreditEntry | None:
    """Return the entry, new or existing; None if nothing was written (no such customer, or not covered). Flushes.

    `only_if_covered`: write only if the balance suffices and none of it can expire. Raises ReferenceReused.
    """
    db.session.flush()
    connection = db.session.connection()
    write = _write_at_once if connection.dialect.name == "postgresql" else _write_in_turn
    written = write(connection, draft, only_if_covered)
    if written is None:
        return None
    balance, low_at, entry_id = written
    if entry_id is not None:
        if draft.amount > 0 or (low_at is not None and balance < low_at):
            thresholds.moved(draft.customer_id, balance)
        _remember(draft.customer_id, balance)
        return _entry(draft, entry_id, balance)
    # The reference existed already. No other transaction saw the balance change, because its row is locked.
    _moved(connection, replace(draft, amount=-draft.amount))
    instruments.REPEATED.labels("credit_entry").inc()
    return standing(draft)


def _entry(draft: Draft, entry_id: int, balance: int) -> CreditEntry:
    """Return the written entry. The session does not hold it, because entries never change."""
    facts = {name: getattr(draft, name) for name in COLUMNS if name != "balance_after"}
    return CreditEntry(id=entry_id, balance_after=balance, **facts)


def standing(draft: Draft) -> CreditEntry | None:
    """Return the existing entry with the draft's reference. Raises ReferenceReused if it has another amount."""
    query = select(CreditEntry).filter_by(**{name: getattr(draft, name) for name in ONCE})
    entry = db.session.execute(query).scalar_one_or_none()
    if entry is not None and entry.amount != draft.amount:
        raise ReferenceReused(
            f'"{draft.reference}" was used before, for {abs(entry.amount):,} credits.',
            errors={"reference": "used before, for another amount"},
        )
    return entry


Moved = tuple[int, int | None] | None  # the balance after, and the threshold that it may pass
Written = tuple[int, int | None, int | None] | None  # the same, and the entry's id unless its reference existed


def _write_at_once(connection: Connection, draft: Draft, only_if_covered: bool) -> Written:
    row = connection.execute(_at_once(only_if_covered), _parameters(draft)).one_or_none()
    return None if row is None else (row[0], row[1], row[2])


def _write_in_turn(connection: Connection, draft: Draft, only_if_covered: bool) -> Written:
    moved = _moved(connection, draft, only_if_covered)
    if moved is None:
        return None
    parameters = _parameters(draft) | {"new_balance_after": moved[0]}
    return *moved, connection.execute(_in_turn(), parameters).scalar_one_or_none()


def _moved(connection: Connection, draft: Draft, only_if_covered: bool = False) -> Moved:
    """Change the stored balance; None if it did not change."""
    row = connection.execute(_move(only_if_covered), _parameters(draft)).one_or_none()
    return None if row is None else (row[0], row[1])


def _parameters(draft: Draft) -> dict[str, object]:
    """Return the parameters under names of their own: a column's name would become a value for the UPDATE to
    set.
    """
    return {parameter: getattr(draft, name) for parameter, name in PARAMETERS}


def _new(name: str) -> BindParameter[Any]:
    return bindparam(f"new_{name}", type_=ENTRIES.c[name].type)


# The statements use tables, not models: a spend is part of every request of a product, and the ORM would make a
# statement half as expensive again.


@cache
def _move(only_if_covered: bool = False) -> Update:
    """Return the statement that changes the stored balance by `amount`, and returns it with the next threshold."""
    balance = CUSTOMERS.c.credit_balance + _new("amount")
    guards: list[ColumnElement[bool]] = [not_(CUSTOMERS.c.has_grants), balance >= 0] if only_if_covered else []
    moved = update(CUSTOMERS).where(CUSTOMERS.c.id == _new("customer_id"), *guards)
    return moved.values(credit_balance=balance).returning(CUSTOMERS.c.credit_balance, CUSTOMERS.c.low_at)


@cache
def _in_turn() -> Executable:
    """Return SQLite's second statement."""
    insertion = sqlite_insert(ENTRIES).values({name: _new(name) for name in COLUMNS})
    return insertion.on_conflict_do_nothing(index_elements=ONCE).returning(ENTRIES.c.id)


@cache
def _at_once(only_if_covered: bool) -> Executable:
    """Return PostgreSQL's one statement. It returns no row if nothing changed, and a row without an id if the
    reference existed.
    """
    moved = _move(only_if_covered).cte("moved")
    values = [moved.c.credit_balance if name == "balance_after" else _new(name) for name in COLUMNS]
    entry = (
        postgres_insert(ENTRIES)
        .from_select(COLUMNS, select(*values).select_from(moved), include_defaults=False)
        .on_conflict_do_nothing(index_elements=ONCE)
        .returning(ENTRIES.c.id)
        .cte("entry")
    )
    return select(moved.c.credit_balance, moved.c.low_at, entry.c.id).select_from(moved.outerjoin(entry, true()))


def _remember(customer_id: int, balance: int) -> None:
    """Set the new balance on a Customer that the session holds."""
    customer = db.session.identity_map.get(identity_key(Customer, customer_id))
    if customer is not None:
        set_committed_value(customer, "credit_balance", balance)
