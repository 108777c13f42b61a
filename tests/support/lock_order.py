"""What each transaction of the portal locks, and whether it does so in the one order (portal.models.locks).

SQLite has one write lock and so no FOR UPDATE; what a statement would lock on PostgreSQL is seen all the same.
"""

import os
import re
import sys
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, event
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Compiled, Engine

import portal
from portal.models.locks import ADDED_TO, CUSTOMER_OWNS, LOCK_ORDER, USER_OWNS

PLACE = {table: place for place, table in enumerate(LOCK_ORDER)}
ROOTS = ("stripe_events", "sync_tickets", "users", "customers")  # locked ahead even of what is only added
OWNERS = {"users": USER_OWNS, "customers": CUSTOMER_OWNS}
WRITES = re.compile(
    r"(?<!KEY )(?<!FOR )(?<!DO )\bUPDATE (?:ONLY )?(?P<updated>\w+)"
    r"|\bDELETE FROM (?P<deleted>\w+)"
    r"|\bINSERT INTO (?P<inserted>\w+)(?=.*?ON CONFLICT)",
    re.S,
)
FOR_UPDATE = re.compile(
    r"\bFOR (?P<kind>NO KEY UPDATE|UPDATE)\b(?: OF (?P<of>\w+(?:, \w+)*))?(?P<skips> SKIP LOCKED)?"
)
POSTGRESQL = postgresql.dialect()
COMPILED: WeakKeyDictionary[Compiled, str] = WeakKeyDictionary()
CODE = os.path.dirname(portal.__file__) + os.sep
FROM = re.compile(r"\b(?:FROM|JOIN) (\w+)")


class LockOrderBroken(AssertionError):
    """A transaction locks rows in another order than the one that all follow."""


@dataclass(frozen=True)
class Lock:
    """Rows of a table that a statement locks. `kind`: "added", "changed", "kept" (FOR UPDATE), or "skipped": those
    alone that nobody else has locked.
    """

    table: str
    kind: str


@lru_cache(4096)  # the portal sends the same statements again and again
def locked_by(statement: str) -> tuple[Lock, ...]:
    """Return what a statement locks. An INSERT without ON CONFLICT does not wait."""
    found = []
    for match in WRITES.finditer(statement):
        if match["inserted"]:
            found.append(Lock(match["inserted"], "changed" if "DO UPDATE" in statement else "added"))
        else:
            found.append(Lock(match["updated"] or match["deleted"], "changed"))
    if match := FOR_UPDATE.search(statement):
        tables = [name.strip() for name in match["of"].split(",")] if match["of"] else FROM.findall(statement)
        kind = "skipped" if match["skips"] else "kept" if match["kind"] == "UPDATE" else "changed"
        found += [Lock(table, kind) for table in tables]
    return tuple(lock for lock in found if lock.table in PLACE)


def on_postgresql(statement: str, context: Any) -> str:
    """The statement with its FOR UPDATE, which the compiler for SQLite leaves out."""
    asked = getattr(context.compiled, "statement", None)
    if getattr(asked, "_for_update_arg", None) is None or "FOR " in statement:
        return statement
    # SQLAlchemy keeps what it compiled, with the FOR UPDATE in its key.
    if context.compiled not in COMPILED:
        COMPILED[context.compiled] = str(asked.compile(dialect=POSTGRESQL))
    return COMPILED[context.compiled]


def objection(held: list[Lock], lock: Lock) -> str | None:
    """Return why these rows may not be locked after those that are held; None if they may."""
    table = lock.table
    if lock.kind == "kept" and table in OWNERS:
        return f"{table} FOR UPDATE, which keeps others from adding rows that point to it"
    waits = lock.kind != "skipped"
    if not waits or (table in ADDED_TO and lock.kind == "added") or any(one.table == table for one in held):
        return None
    added = [one.table for one in held if one.table in ADDED_TO and one.kind == "added"]
    changed = [one.table for one in held if one.table not in ADDED_TO or one.kind != "added"]
    for owner, owned in OWNERS.items():
        others = [one for one in changed if one in owned]
        if table in owned and owner in changed:
            changed = [one for one in changed if one not in owned]
        elif table in owned and others:
            return f"{table} and {', '.join(others)} without their {owner.removesuffix('s')}"
    later = [one for one in changed + (added if table in ROOTS else []) if PLACE[one] > PLACE[table]]
    return f"{table} after {', '.join(dict.fromkeys(later))}" if later else None


def _flat(values: Iterable[Any]) -> Iterator[str]:
    """Return the parameters as text; those of an IN may be in a list."""
    for value in values:
        if isinstance(value, list | tuple):
            yield from _flat(value)
        else:
            yield str(value)


def _places() -> list[str]:
    """Return where in the portal's code a statement comes from, innermost first."""
    found, frame = [], sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_filename.startswith(CODE):
            found.append(f"{frame.f_code.co_filename.removeprefix(CODE)}:{frame.f_code.co_name}")
        frame = frame.f_back
    return found


class LockOrder:
    """Listens to an engine; `broken` has every violation of the order, with its place in the code."""

    def __init__(self, engine: Engine) -> None:
        self.broken: list[str] = []
        self.is_watching = False
        self._held: dict[int, list[Lock]] = {}
        self._tickets: dict[int, set[str]] = {}
        self._turn = threading.Lock()
        event.listen(engine, "before_cursor_execute", self._before)
        for end in ("begin", "commit", "rollback"):
            event.listen(engine, end, self._end)

    def _before(
        self, connection: Connection, _cursor: Any, statement: str, parameters: Any, context: Any, _many: bool
    ) -> None:
        if not self.is_watching:
            return
        statement = on_postgresql(statement, context)
        locked = locked_by(statement)
        if not locked or not _places():  # what a test itself writes keeps no order
            return
        with self._turn:
            held = self._held.setdefault(self._name(connection), [])
        for lock in locked:
            if words := objection(held, lock):
                self._object(words)
            held.append(lock)
        named = context.compiled_parameters[0] if context.compiled_parameters else parameters
        self._see_tickets(self._name(connection), statement, named)

    def _see_tickets(self, name: int, statement: str, parameters: Any) -> None:
        """Check that a second ticket is written only after all were locked by `tickets.hold`."""
        if "sync_tickets" not in statement or not isinstance(parameters, dict):
            return
        known = self._tickets.get(name)
        if "FOR NO KEY UPDATE" in statement:
            self._tickets[name] = set(_flat(parameters.values()))
        elif object_id := parameters.get("of_object"):
            if known is not None and object_id not in known:
                self._object(f"the ticket of {object_id} after others")
            self._tickets.setdefault(name, {object_id})

    def _object(self, words: str) -> None:
        self.broken.append(f"{words} ({' < '.join(_places()[:6])})")

    @staticmethod
    def _name(connection: Connection) -> int:
        return id(connection.connection.dbapi_connection)

    def _end(self, connection: Connection) -> None:
        with self._turn:
            self._held.pop(self._name(connection), None)
            self._tickets.pop(self._name(connection), None)

    def check(self) -> None:
        """Stop watching, and raise LockOrderBroken for what was locked out of order."""
        self.is_watching = False
        broken, self.broken = self.broken, []
        if broken:
            raise LockOrderBroken("\n".join(sorted(set(broken))))
