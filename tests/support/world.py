"""One portal, its database and its sandbox, and what tests do with them."""

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
import stripe
from flask import Flask
from sqlalchemy import Connection, Table, create_engine, text
from sqlalchemy.engine import make_url

from portal import catalogue, create_app
from portal import settings as settings_module
from portal.billing import pushing, seeding
from portal.extensions import db
from portal.models import Base
from tests.support import servers
from tests.support.lock_order import LockOrder

APPEND_ONLY = ("credit_entries", "audit_entries", "audit_seals")
FIRST = "rows of the catalogue"


@dataclass(frozen=True)
class World:
    """A running portal on one database, with its sandbox. `base` is the portal's address."""

    app: Flask
    base: str
    sandbox: str
    database: str
    locks: LockOrder | None = field(default=None, repr=False)  # on PostgreSQL alone: SQLite has one write lock
    wire: requests.Session = field(default_factory=requests.Session, repr=False)

    def stripe(self, mode: str = "live") -> stripe.StripeClient:
        """The official SDK against the sandbox."""
        key = servers.LIVE_KEY if mode == "live" else servers.TEST_KEY
        return stripe.StripeClient(key, base_addresses={"api": self.sandbox}, max_network_retries=0)

    def control(self, what: str, **switches: Any) -> None:
        """Set the sandbox's own switches, or have it do something."""
        self.wire.post(f"{self.sandbox}/_config/{what}", json=switches, timeout=60).raise_for_status()

    def deliveries(self, **switches: Any) -> None:
        """Hold, drop, double, delay or reorder webhooks."""
        self.control("deliveries", **switches)

    def flush(self) -> None:
        """Send what is held, and wait until it is delivered."""
        self.control("deliveries/flush")

    def hold_settlements(self) -> None:
        """Have banks answer debits and refunds only when `settle` says so."""
        self.control("settlements", hold=True)

    def settle(self) -> None:
        """Have the banks answer now; what Stripe says of it waits to be flushed."""
        self.control("settlements/flush")

    def fail(self, **plan: Any) -> None:
        """Make the next calls to Stripe fail, hang, or lose their answers."""
        self.control("failures", **plan)

    def calm(self) -> None:
        """No faults any more, and nothing left to deliver."""
        self.control("reset")
        self.control("deliveries/discard")


def eventually(check: Callable[[], Any], seconds: float = 10) -> Any:
    """What `check` gives once it gives something true; fails when it does not in time."""
    deadline = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return found


@contextlib.contextmanager
def world(
    folder: Path,
    database_url: str,
    kind: str,
    *,
    api_port: int | None = None,
    ports: tuple[int, int, int] | None = None,
) -> Iterator[World]:
    """Start everything on this database, its schema made by the migrations.

    `ports` are the portal's, the one that webhooks go to, and the sandbox's; `api_port` is where the portal
    finds Stripe's API. Judges stand in between.
    """
    port, webhook_port, sandbox_port = ports or ((own := servers.free_port()), own, servers.free_port())
    base = f"http://127.0.0.1:{port}"
    with servers.sandbox(folder, webhook_port, sandbox_port) as sandbox:
        given = environ(folder, database_url, port, sandbox)
        if api_port is not None:
            given["STRIPE_API_BASE"] = f"http://127.0.0.1:{api_port}"
        app = create_app(settings_module.load(given, env_file=None))
        app.config.update(TESTING=True, RATELIMIT_ENABLED=False)
        with app.app_context():
            from flask_migrate import upgrade

            upgrade()
            db.session.remove()
        with app.app_context():
            locks = LockOrder(db.engine) if db.engine.dialect.name == "postgresql" else None
        running = World(app, base, sandbox, kind, locks)
        with servers.served(app, port):
            with app.app_context():
                empty(app)  # makes the catalogue at Stripe, so that no later test hears of that
                db.session.remove()
            running.flush()
            yield running
        with app.app_context():
            db.engine.dispose()


def environ(folder: Path, database_url: str, port: int, sandbox: str) -> dict[str, str]:
    """The settings of a portal under test."""
    pages = sandbox.replace("127.0.0.1", "localhost")
    return {
        "PORT": str(port),
        "INSTANCE_PATH": str(folder),
        "DATABASE_URL": database_url,
        "SECRET_KEY": "only-for-tests-0123456789abcdef0123456789",
        "STRIPE_SECRET_KEY": servers.LIVE_KEY,
        "STRIPE_WEBHOOK_SECRET": servers.SECRETS["live"],
        "STRIPE_TEST_SECRET_KEY": servers.TEST_KEY,
        "STRIPE_TEST_WEBHOOK_SECRET": servers.SECRETS["test"],
        "STRIPE_API_BASE": sandbox,
        "CHECKOUT_ORIGINS": pages,
    }


@contextlib.contextmanager
def _administering(server: str) -> Iterator[Connection]:
    engine = create_engine(make_url(server).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def fresh_database(server: str, name: str) -> str:
    """An empty database of this name on a PostgreSQL server; gives its URL."""
    with _administering(server) as connection:
        connection.execute(text(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))
        connection.execute(text(f'CREATE DATABASE "{name}"'))
        connection.execute(text(f'ALTER DATABASE "{name}" SET synchronous_commit TO off'))  # it may be lost
    url = make_url(server).set(drivername="postgresql+psycopg", database=name)
    return url.render_as_string(hide_password=False)


def drop_databases(server: str, *, ending: str) -> None:
    """Drop the databases whose names end so."""
    with _administering(server) as connection:
        names = connection.execute(text("SELECT datname FROM pg_database")).scalars().all()
        for name in names:
            if name.endswith(ending):
                connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))


@contextlib.contextmanager
def changes_allowed(table: str) -> Iterator[None]:
    """Put the triggers of an append-only table aside, inside the session's transaction."""
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


def empty(app: Flask) -> None:
    """Empty every table but the catalogue, which Stripe knows, and the outbox. Inside an app context."""
    shutil.rmtree(app.extensions["settings"].instance_path / "outbox", ignore_errors=True)
    app.extensions.pop("entitlements", None)  # SQLite gives ids of deleted rows again, which no portal does
    _delete_everything()
    first = app.extensions.get(FIRST)
    if first is None:
        first = app.extensions[FIRST] = _loaded(app.extensions["settings"])
    for table, rows in first.items():
        db.session.execute(table.insert(), rows)
    db.session.commit()


def _delete_everything() -> None:
    """In one go, for forty tables mostly empty; triggers that refuse it are put aside where they would."""
    tables = [table.name for table in reversed(Base.metadata.sorted_tables)]
    grown = [name for name in APPEND_ONLY if db.session.execute(text(f"SELECT 1 FROM {name} LIMIT 1")).first()]
    with contextlib.ExitStack() as stack:
        for name in grown:
            stack.enter_context(changes_allowed(name))
        run = db.session.connection().exec_driver_sql
        if db.engine.dialect.name == "postgresql":
            run("; ".join(f"DELETE FROM {name}" for name in tables))
        else:
            for name in tables:
                run(f"DELETE FROM {name}")
    db.session.commit()


def _loaded(settings: settings_module.Settings) -> dict[Table, list[dict[str, Any]]]:
    """The rows of a portal that knows its catalogue, and Stripe knows it too: read once, put back ever after."""
    seeding.seed(catalogue.read(settings.catalogue), settings.price_ids)
    db.session.commit()
    for mode in ("live", "test"):
        list(pushing.push(mode))
    tables = [
        table for table in Base.metadata.sorted_tables if table.name != "stripe_events"
    ]  # arriving meanwhile
    read = {table: db.session.execute(table.select()).mappings().all() for table in tables}
    rows = {table: [dict(row) for row in found] for table, found in read.items() if found}
    db.session.commit()
    _delete_everything()
    return rows


__all__ = [
    "World",
    "changes_allowed",
    "drop_databases",
    "empty",
    "environ",
    "eventually",
    "fresh_database",
    "world",
]
