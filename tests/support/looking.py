"""Looks into the database of a running portal, from outside a request."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event, func, select

from portal.customers import access
from portal.extensions import db
from portal.models import Customer, Suspension
from tests.support import events
from tests.support.world import World

# What an admin's own visit brings, and rows of both modes that no column of theirs tells apart.
OF_BOTH = ("audit_seals", "credit_grants", "monthly_bill_lines", "outbox_mails", "user_sessions")


def one(here: World, query: Any) -> Any:
    """Return the only value that a query finds."""
    with here.app.app_context():
        return db.session.execute(query).scalar_one()


def count(here: World, model: Any) -> int:
    """How many rows a table has."""
    return int(one(here, select(func.count()).select_from(model)))


def open_suspensions(here: World) -> list[str]:
    """The reasons for which customers are suspended now, oldest first."""
    with here.app.app_context():
        query = select(Suspension.reason).filter_by(lifted_at=None).order_by(Suspension.id)
        return list(db.session.execute(query).scalars())


def everything_stored(here: World, *, but: str = "") -> str:
    """Return every row of every table except one, by their keys: PostgreSQL may list them in any order."""
    with here.app.app_context():
        tables = [table for table in db.metadata.sorted_tables if table.name != but]
        queries = [select(table).order_by(*table.primary_key.columns) for table in tables]
        return "\n".join(str(tuple(row)) for query in queries for row in db.session.execute(query))


def tier(here: World) -> str:
    """The tier of the only customer."""
    with here.app.app_context():
        return access.of(db.session.execute(select(Customer)).scalar_one()).tier


def live(here: World) -> events.Photograph:
    """Return every row that is not test mode's: it says that it is live, belongs to a live customer, or has no
    mode.
    """
    with here.app.app_context():
        taken = events.photograph()
    ours = {row["id"] for row in taken["customers"] if row["mode"] == "live"}

    def is_live(row: events.Json) -> bool:
        return (
            row["mode"] == "live" if "mode" in row else row.get("customer_id") in ours or "customer_id" not in row
        )

    return {name: [row for row in rows if is_live(row)] for name, rows in taken.items() if name not in OF_BOTH}


@contextmanager
def counted(here: World) -> Iterator[list[str]]:
    """Collect the statements that run within the context."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if not statement.startswith("BEGIN"):
            seen.append(statement)

    with here.app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)
