"""Writing the ledger: the stored balance and its entry move together, or not at all.

On PostgreSQL the two are one statement: an UPDATE whose result feeds the INSERT. SQLite has no CTE that
writes: there they are two statements, and every transaction that writes holds the one write lock from its start.
"""

from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Executable, Update, bindparam, not_, select, true, update
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import aliased
from sqlalchemy.orm.attributes import set_committed_value
from sqlalchemy.orm.util import identity_key

from portal import clock
from portal.errors import Conflict
from portal.extensions import db
from portal.models import CreditEntry, Customer

ONCE = ("customer_id", "reason", "reference")
COLUMNS = (
    "customer_id",
    "amount",
    "balance_after",
    "reason",
    "reference",
    "description",
    "purchase_id",
    "created_at",
)


class ReferenceReused(Conflict):
    """A reference that stands in the ledger for another amount."""

    code = "reference_reused"
    title = "That reference was used before"


@dataclass(frozen=True, slots=True)
class Draft:
    """An entry that is to be. `amount` in whole credits, below zero where they leave."""

    customer_id: int
    amount: int
    reason: str
    reference: str
    description: str
    purchase_id: int | None
    created_at: datetime


def post(
    customer_id: int,
    amount: int,
    reason: str,
    reference: str,
    *,
    description: str = "",
    purchase_id: int | None = None,
) -> CreditEntry:
    """Add whole credits, or take them where `amount` is below zero; the balance may become debt. Flushes.

    The same reference again gives the entry that stands. Raises ReferenceReused where that has another amount.
    """
    draft = Draft(customer_id, amount, reason, reference, description, purchase_id, clock.now())
    entry = add(draft)
    assert entry is not None, "a ledger of no customer"
    return entry


def add(draft: Draft, *, only_if_covered: bool = False) -> CreditEntry | None:
    """The entry, new or standing; None where nothing was written: no such customer, or not covered. Flushes.

    `only_if_covered`: only where the balance suffices, and no part of it may expire. Raises ReferenceReused.
    """
    write = _write_at_once if db.engine.dialect.name == "postgresql" else _write_in_turn
    written = write(draft, only_if_covered)
    if written is None:
        return None
    balance, entry = written
    if entry is None:  # the reference stood there already; nobody saw the balance move, its row is locked
        balance = db.session.execute(_move(), _parameters(replace(draft, amount=-draft.amount))).scalar_one()
        entry = standing(draft)
        assert entry is not None
    _remember(draft.customer_id, balance)
    return entry


def standing(draft: Draft) -> CreditEntry | None:
    """The entry that has the draft's reference. Raises ReferenceReused where it is for another amount."""
    query = select(CreditEntry).filter_by(**{name: getattr(draft, name) for name in ONCE})
    entry = db.session.execute(query).scalar_one_or_none()
    if entry is not None and entry.amount != draft.amount:
        raise ReferenceReused(
            f'"{draft.reference}" was used before, for {abs(entry.amount):,} credits.',
            errors={"reference": "used before, for another amount"},
        )
    return entry


Written = tuple[int, CreditEntry | None] | None  # the balance after, and the entry unless its reference stood


def _write_at_once(draft: Draft, only_if_covered: bool) -> Written:
    row = db.session.execute(_at_once(only_if_covered), _parameters(draft)).one_or_none()
    return None if row is None else (row[0], row[1])


def _write_in_turn(draft: Draft, only_if_covered: bool) -> Written:
    balance = db.session.execute(_move(only_if_covered), _parameters(draft)).scalar_one_or_none()
    if balance is None:
        return None
    entry = db.session.execute(
        _in_turn(), _parameters(draft) | {"new_balance_after": balance}
    ).scalar_one_or_none()
    return balance, entry


def _parameters(draft: Draft) -> dict[str, object]:
    """Under names of their own: a column's name would be taken as a value for the UPDATE to set."""
    return {f"new_{name}": value for name, value in asdict(draft).items()}


def _new(name: str) -> BindParameter[Any]:
    return bindparam(f"new_{name}", type_=CreditEntry.__table__.c[name].type)


@cache
def _move(only_if_covered: bool = False) -> Update:
    """The stored balance, moved by `amount`; gives what it is then."""
    balance = Customer.credit_balance + _new("amount")
    guards: list[ColumnElement[bool]] = [not_(Customer.has_grants), balance >= 0] if only_if_covered else []
    return (
        update(Customer)
        .where(Customer.id == _new("customer_id"), *guards)
        .values(credit_balance=balance)
        .returning(Customer.credit_balance)
        .execution_options(synchronize_session=False)
    )


@cache
def _in_turn() -> Executable:
    """SQLite's second statement."""
    insertion = (
        sqlite_insert(CreditEntry)
        .values({name: _new(name) for name in COLUMNS})
        .on_conflict_do_nothing(index_elements=ONCE)
    )
    return insertion.returning(CreditEntry)


@cache
def _at_once(only_if_covered: bool) -> Executable:
    """PostgreSQL's one statement: no row where nothing moved, a row without an entry where its reference stood."""
    moved = _move(only_if_covered).cte("moved")
    values = [moved.c.credit_balance if name == "balance_after" else _new(name) for name in COLUMNS]
    entry = (
        postgres_insert(CreditEntry)
        .from_select(COLUMNS, select(*values).select_from(moved), include_defaults=False)
        .on_conflict_do_nothing(index_elements=ONCE)
        .returning(*CreditEntry.__table__.c)
        .cte("entry")
    )
    return select(moved.c.credit_balance, aliased(CreditEntry, entry)).select_from(moved.outerjoin(entry, true()))


def _remember(customer_id: int, balance: int) -> None:
    """Let a Customer that the session holds know its new balance."""
    customer = db.session.identity_map.get(identity_key(Customer, customer_id))
    if customer is not None:
        set_committed_value(customer, "credit_balance", balance)
