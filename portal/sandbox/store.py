"""The sandbox's state: one SQLite file, one writer at a time, one transaction per request."""

import contextlib
import json
import marshal
import pathlib
import sqlite3
import threading
import time
from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]
Rows = dict[str, list[Any]]  # by table
TABLES = ("objects", "deliveries", "attempts", "timers", "clock_timers", "idempotency", "restricted_keys")

SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, mode TEXT NOT NULL, type TEXT NOT NULL,
    created INTEGER NOT NULL, json TEXT NOT NULL, customer TEXT, invoice TEXT);
CREATE INDEX IF NOT EXISTS objects_by_type ON objects (mode, type, seq);
CREATE TABLE IF NOT EXISTS deliveries (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT NOT NULL, endpoint TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0, due REAL, released INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS deliveries_due ON deliveries (due) WHERE due IS NOT NULL;
CREATE INDEX IF NOT EXISTS deliveries_by_event ON deliveries (event);
CREATE TABLE IF NOT EXISTS timers (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, due REAL NOT NULL, mode TEXT NOT NULL, action TEXT NOT NULL,
    object TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS timers_due ON timers (due);
CREATE TABLE IF NOT EXISTS clock_timers (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, clock TEXT NOT NULL, due REAL NOT NULL, action TEXT NOT NULL,
    object TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS clock_timers_due ON clock_timers (clock, due);
CREATE TABLE IF NOT EXISTS idempotency (
    mode TEXT NOT NULL, key TEXT NOT NULL, request TEXT NOT NULL, status INTEGER NOT NULL, body TEXT NOT NULL,
    request_id TEXT NOT NULL, created INTEGER NOT NULL, PRIMARY KEY (mode, key));
CREATE TABLE IF NOT EXISTS attempts (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT NOT NULL, endpoint TEXT NOT NULL, at REAL NOT NULL,
    status INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS attempts_by_event ON attempts (event);
CREATE TABLE IF NOT EXISTS restricted_keys (key TEXT PRIMARY KEY, permissions TEXT NOT NULL);
"""


# Columns for the two fields that objects are found by most: SQLite would parse each object to index its JSON.
LINKS = ("customer", "invoice")
ADDED = """
ALTER TABLE objects ADD COLUMN customer TEXT;
ALTER TABLE objects ADD COLUMN invoice TEXT;
UPDATE objects SET customer = json_extract(json, '$.customer'), invoice = json_extract(json, '$.invoice');
DROP INDEX IF EXISTS objects_by_customer;
"""
INDEXES = """
CREATE INDEX IF NOT EXISTS objects_of_customer ON objects (mode, type, customer, seq) WHERE customer IS NOT NULL;
CREATE INDEX IF NOT EXISTS objects_of_invoice ON objects (mode, type, invoice, seq) WHERE invoice IS NOT NULL;
"""
TEXTS = 2000  # objects that are kept parsed
compact = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


class Store:
    """Objects as JSON, due deliveries and timers, and recorded responses by idempotency key."""

    def __init__(self, path: pathlib.Path, account_id: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.texts: dict[str, bytes] = {}
        self.listeners: dict[str, list[Json]] = {}  # webhook endpoints by mode, as long as none changes
        self.account_id = account_id
        self.alone = threading.RLock()
        self.written = True  # since the deliverer last looked at what is due
        self.db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self.db.execute("PRAGMA page_size=16384")  # of a new file: most events don't fit into the usual 4096 bytes
        self.db.execute("PRAGMA journal_mode=WAL")
        self.db.execute("PRAGMA wal_autocheckpoint=4000")
        self.db.execute("PRAGMA synchronous=NORMAL")
        self.db.execute("PRAGMA cache_size=-32768")  # KiB: a clock's year is one transaction, and spills otherwise
        self.db.executescript(SCHEMA)
        if "invoice" not in [row[1] for row in self.db.execute("PRAGMA table_info(objects)")]:
            self.db.executescript(ADDED)  # a file of an earlier version
        self.db.executescript(INDEXES)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Run a transaction, one at a time; an exception with `keeps` commits what was written."""
        with self.alone:
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException as error:
                self.db.execute("COMMIT" if getattr(error, "keeps", False) else "ROLLBACK")
                self.listeners.clear()
                self.written = True
                raise
            self.db.execute("COMMIT")
            self.written = True

    @contextlib.contextmanager
    def rehearsal(self) -> Iterator[None]:
        """Run a savepoint inside a transaction, which is rolled back at the end."""
        self.db.execute("SAVEPOINT rehearsal")
        try:
            yield
        finally:
            self.db.execute("ROLLBACK TO rehearsal")
            self.listeners.clear()
            self.db.execute("RELEASE rehearsal")

    def clear(self) -> None:
        """Delete everything. Numbers of rows grow on, so that a list never meets an old one again."""
        self.listeners.clear()
        for table in TABLES:
            self.db.execute(f"DELETE FROM {table}")  # noqa: S608

    def copy(self) -> Rows:
        """Return everything that is stored."""
        with self.alone:
            return {table: self.db.execute(f"SELECT * FROM {table}").fetchall() for table in TABLES}  # noqa: S608

    def put_back(self, copy: Rows) -> None:
        """Store what a copy has, and nothing else."""
        with self.transaction():
            self.clear()
            for table, rows in copy.items():
                if rows:
                    places = ", ".join("?" * len(rows[0]))
                    self.db.executemany(f"INSERT INTO {table} VALUES ({places})", rows)  # noqa: S608

    def rows(self, sql: str, *values: Any) -> list[Any]:
        """Return the rows of a query."""
        with self.alone:
            return self.db.execute(sql, values).fetchall()

    def load(self, mode: str, id_: str) -> Json | None:
        """Return an object of this mode, or None."""
        found = self.rows("SELECT json FROM objects WHERE id = ? AND mode = ?", id_, mode)
        return self.parsed(found[0][0]) if found else None

    def parsed(self, text: str) -> Json:
        """Return a new object from its JSON. A renewal reads the same customer, price and clock many times."""
        known = self.texts.get(text)
        if known is None:
            if len(self.texts) >= TEXTS:
                self.texts.clear()
            self.texts[text] = known = marshal.dumps(json.loads(text))
        value: Json = marshal.loads(known)  # noqa: S302 - our own bytes, four times faster than JSON
        return value

    def mode_of(self, id_: str) -> str | None:
        """Return the mode in which this id exists, or None."""
        found = self.rows("SELECT mode FROM objects WHERE id = ?", id_)
        return found[0][0] if found else None

    def save(self, mode: str, kind: str, value: Json) -> None:
        """Store an object, new or changed."""
        if kind == "webhook_endpoint":
            self.listeners.clear()
        ids = (value.get("customer"), value.get("invoice"))
        links = [id_ if id_ is None or id_.__class__ is str else str(id_) for id_ in ids]
        self.db.execute(
            "INSERT INTO objects (id, mode, type, created, json, customer, invoice) VALUES (?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (id) DO UPDATE SET json = excluded.json, customer = excluded.customer, "
            "invoice = excluded.invoice",
            (value["id"], mode, kind, value.get("created", 0), compact(value), *links),
        )

    def set_timer(self, due: float, mode: str, action: str, id_: str, clock: str | None) -> None:
        """Schedule an action: in real time, or a test clock's."""
        if clock:
            sql = "INSERT INTO clock_timers (due, clock, action, object) VALUES (?, ?, ?, ?)"
        else:
            sql = "INSERT INTO timers (due, mode, action, object) VALUES (?, ?, ?, ?)"
        self.db.execute(sql, (due, clock or mode, action, id_))

    def endpoints(self, mode: str) -> list[Json]:
        """Return the webhook endpoints of a mode, which every event asks for. The caller changes none of them."""
        with self.alone:
            if mode not in self.listeners:
                self.listeners[mode] = self.select(mode, "webhook_endpoint")
            return self.listeners[mode]

    def queue_delivery(self, event: str, endpoint: str) -> None:
        """Queue an event's delivery to an endpoint."""
        sql = "INSERT INTO deliveries (event, endpoint, due) VALUES (?, ?, ?)"
        self.db.execute(sql, (event, endpoint, time.time()))

    def remove(self, mode: str, id_: str) -> None:
        """Delete an object."""
        self.listeners.clear()
        self.db.execute("DELETE FROM objects WHERE id = ? AND mode = ?", (id_, mode))

    def select(
        self, mode: str, kind: str, where: str = "1", *values: Any, limit: int = -1, oldest_first: bool = False
    ) -> list[Json]:
        """Return objects of a kind, newest first unless told otherwise; where is SQL over the columns of
        objects.
        """
        for name in LINKS:
            where = where.replace(f"json_extract(json, '$.{name}')", name)
        order = "ASC" if oldest_first else "DESC"
        sql = f"SELECT json FROM objects WHERE mode = ? AND type = ? AND {where} ORDER BY seq {order} LIMIT ?"  # noqa: S608
        return [self.parsed(row[0]) for row in self.rows(sql, mode, kind, *values, limit)]
