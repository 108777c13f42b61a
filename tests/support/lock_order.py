"""What each transaction of the portal locks, and whether it does so in the one order (portal.models.locks)."""

import os
import re
import sys
import threading
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.engine import Engine

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
FOR_UPDATE = re.compile(r"\bFOR (?P<kind>NO KEY UPDATE|UPDATE)\b(?: OF (?P<of>[\w, ]+))?")
CODE = os.path.dirname(portal.__file__) + os.sep
FROM = re.compile(r"\b(?:FROM|JOIN) (\w+)")


class LockOrderBroken(AssertionError):
    """A transaction locks rows in another order than the one that all keep."""


@dataclass(frozen=True)
class Lock:
    """Rows of a table that a statement locks. `kind`: "added", "changed", or "kept" (FOR UPDATE)."""

    table: str
    kind: str


def locked_by(statement: str) -> list[Lock]:
    """What a statement locks. A row that is added without ON CONFLICT waits for nobody."""
    found = []
    for match in WRITES.finditer(statement):
        if match["inserted"]:
            found.append(Lock(match["inserted"], "changed" if "DO UPDATE" in statement else "added"))
        else:
            found.append(Lock(match["updated"] or match["deleted"], "changed"))
    if match := FOR_UPDATE.search(statement):
        tables = [name.strip() for name in match["of"].split(",")] if match["of"] else FROM.findall(statement)
        found += [Lock(table, "kept" if match["kind"] == "UPDATE" else "changed") for table in tables]
    return [lock for lock in found if lock.table in PLACE]


def objection(held: list[Lock], lock: Lock) -> str | None:
    """Why these rows may not be locked after those that are held; None where they may."""
    table = lock.table
    if lock.kind == "kept" and table in OWNERS:
        return f"{table} FOR UPDATE, which keeps others from adding rows that point to it"
    if (table in ADDED_TO and lock.kind == "added") or any(one.table == table for one in held):
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


def _places() -> list[str]:
    """Where in the portal's code a statement comes from, the innermost first."""
    found, frame = [], sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_filename.startswith(CODE):
            found.append(f"{frame.f_code.co_filename.removeprefix(CODE)}:{frame.f_code.co_name}")
        frame = frame.f_back
    return found


class LockOrder:
    """Listens to an engine; `broken` holds what was done out of order, with the place in the code."""

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
        self, connection: Connection, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool
    ) -> None:
        if not self.is_watching:
            return
        locked = locked_by(statement)
        if not locked or not _places():  # what a test itself writes keeps no order
            return
        with self._turn:
            held = self._held.setdefault(self._name(connection), [])
        for lock in locked:
            if words := objection(held, lock):
                self._object(words)
            held.append(lock)
        self._see_tickets(self._name(connection), statement, parameters)

    def _see_tickets(self, name: int, statement: str, parameters: Any) -> None:
        """A second ticket is written only where all were locked before, by `tickets.hold`."""
        if "sync_tickets" not in statement or not isinstance(parameters, dict):
            return
        known = self._tickets.get(name)
        if "FOR NO KEY UPDATE" in statement:
            self._tickets[name] = {str(value) for value in parameters.values()}
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
        """Stop watching, and raise LockOrderBroken for what was done out of order meanwhile."""
        self.is_watching = False
        broken, self.broken = self.broken, []
        if broken:
            raise LockOrderBroken("\n".join(sorted(set(broken))))
