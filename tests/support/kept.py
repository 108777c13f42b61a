"""Saved states of a portal under test and its sandbox: all that both have stored, restored before each test.

A restored state has the times of when it was saved, so it serves for a few minutes only.
"""

import contextlib
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import psycopg
from flask import Flask
from psycopg.sql import SQL, Identifier

from portal import clock
from portal.billing.upcoming import refresh
from portal.extensions import db
from portal.models import Base

APPEND_ONLY = ("credit_entries", "audit_entries", "audit_seals", "mrr_movements")


class Rows(Protocol):
    """What a portal's database has stored."""

    def restore(self) -> None:
        """Store this again, and nothing else. Inside an app context; commits."""


@dataclass(frozen=True)
class State:
    """What the portal and the sandbox had stored at this time; `stripe` names the sandbox's copy."""

    at: datetime
    portal: Rows
    stripe: str


def save(app: Flask, stripe: str) -> State:
    """Return what is stored now, with the name of the sandbox's copy. Inside an app context; nothing may be in
    progress.
    """
    portal: Rows = CopiedFile() if db.engine.dialect.name == "sqlite" else CopiedTables()
    return State(clock.now(), portal, stripe)


def restore(app: Flask, state: State) -> None:
    """Make the portal have stored this again, and nothing else. Inside an app context; the sandbox may deliver
    nothing meanwhile.
    """
    db.session.remove()
    shutil.rmtree(app.extensions["settings"].instance_path / "outbox", ignore_errors=True)
    # Ids of removed rows are given again, which no portal does; what Stripe said or failed at is another test's.
    for remembered in ("entitlements", "stripe_prices", refresh.PAUSES):
        app.extensions.pop(remembered, None)
    state.portal.restore()


@contextlib.contextmanager
def _driver() -> Iterator[Any]:
    """Yield a connection of the database's driver."""
    pooled = db.engine.raw_connection()
    try:
        yield pooled.driver_connection
    finally:
        pooled.close()


class CopiedFile:
    """The pages of an SQLite database."""

    def __init__(self) -> None:
        self._copy = sqlite3.connect(":memory:", check_same_thread=False)
        with _driver() as connection:
            connection.backup(self._copy)

    def restore(self) -> None:
        """Write all pages: triggers that refuse to delete rows are not asked."""
        with _driver() as connection:
            self._copy.backup(connection)


class CopiedTables:
    """The rows of a PostgreSQL database, by table, in COPY's format."""

    def __init__(self) -> None:
        self._rows: dict[str, bytes] = {}
        with _driver() as connection, connection.cursor() as cursor:
            for table in Base.metadata.sorted_tables:
                with cursor.copy(_copy(table.name, "TO STDOUT")) as copy:
                    if rows := b"".join(bytes(block) for block in copy):
                        self._rows[table.name] = rows
            connection.rollback()

    def restore(self) -> None:
        """Delete all rows, and write these."""
        _delete_everything()
        with _driver() as connection, connection.cursor() as cursor:
            for table, rows in self._rows.items():
                with cursor.copy(_copy(table, "FROM STDIN")) as copy:
                    copy.write(rows)
            connection.commit()


def _copy(table: str, how: str) -> psycopg.sql.Composed:
    return SQL("COPY {} " + how).format(Identifier(table))


def _delete_everything() -> None:
    """Empty all tables at once, because most of the forty are empty."""
    tables = [table.name for table in reversed(Base.metadata.sorted_tables)]
    with contextlib.ExitStack() as stack:
        for name in APPEND_ONLY:
            if db.session.execute(db.text(f"SELECT 1 FROM {name} LIMIT 1")).first():
                stack.enter_context(changes_allowed(name))
        db.session.connection().exec_driver_sql("; ".join(f"DELETE FROM {name}" for name in tables))
    db.session.commit()


@contextlib.contextmanager
def changes_allowed(table: str) -> Iterator[None]:
    """Remove the triggers of an append-only table within the session's transaction."""
    run = db.session.connection().exec_driver_sql
    if db.engine.dialect.name == "postgresql":
        run(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        yield
        run(f"ALTER TABLE {table} ENABLE TRIGGER USER")
        return
    triggers = run("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ?", (table,)).all()
    for name, _sql in triggers:
        run(f"DROP TRIGGER {name}")
    yield
    for _name, sql in triggers:
        run(sql)
