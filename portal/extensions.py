"""The Flask extensions, created here and configured in create_app."""

import ipaddress
import sqlite3
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import structlog
from flask import Flask, request
from flask_jwt_extended import JWTManager
from flask_limiter import Limiter
from flask_login import LoginManager
from flask_mailman import Mail
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from flask_wtf import CSRFProtect
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import Connection, CursorResult, Engine, Executable, UpdateBase, event
from sqlalchemy.dialects.postgresql import Insert as PostgresInsert
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import Insert as SQLiteInsert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, SessionTransaction

from portal.models.base import Base
from portal.settings import Settings

log = structlog.get_logger()

ROOT = Path(__file__).parent.parent
AFTERWARDS = "once_committed"  # of a session: what follows its commit
View = TypeVar("View", bound=Callable[..., Any])


def network_of(address: str | None) -> str:
    """Return the network of one client: an IPv4 address, or the /64 of an IPv6 address."""
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return address or "unknown"
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    mapped = parsed.ipv4_mapped
    return str(mapped or ipaddress.ip_network((parsed.packed, 64), strict=False))


def client_network() -> str:
    """Return the network that this request comes from, which limits are counted by."""
    return network_of(request.remote_addr)


# Objects stay readable after a commit. Otherwise reading an attribute would open a transaction, which on SQLite
# takes the write lock and holds it through the next call to Stripe.
db = SQLAlchemy(metadata=Base.metadata, session_options={"expire_on_commit": False})
migrate = Migrate()
login_manager = LoginManager()
csrf = CSRFProtect()
limiter = Limiter(key_func=client_network)
mail = Mail()
jwt = JWTManager()

# Short timeouts, because a customer waits while a request waits for Redis.
REDIS_OPTIONS: dict[str, Any] = {
    "socket_connect_timeout": 0.25,
    "socket_timeout": 0.25,
    "retry": Retry(NoBackoff(), 0),
}
SQLITE_PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "busy_timeout=5000",
    "foreign_keys=ON",
    "recursive_triggers=ON",
)
POSTGRES_TIMEOUTS = "-c lock_timeout=5s -c statement_timeout=30s -c idle_in_transaction_session_timeout=60s"
SPARE = 2  # connections beyond a process's threads: for the ticker, and for the locks of the monthly run


def engine_options(settings: Settings) -> dict[str, Any]:
    """Return SQLAlchemy's engine options: time limits, and a pool that fits the threads and survives restarts.

    PgBouncer refuses startup options, so behind it the role has the time limits (`flask doctor` reads them
    back). It gives each transaction another connection, so nothing is prepared on one.
    """
    # Parameters are kept out of error messages, and so out of the logs.
    if settings.database_url.startswith("sqlite"):
        return {"hide_parameters": True, "connect_args": {"timeout": 5}}
    behind: dict[str, Any] = {"prepare_threshold": None}
    return {
        "hide_parameters": True,
        "pool_pre_ping": True,
        "pool_size": settings.web_threads,
        "max_overflow": SPARE,
        "connect_args": behind if settings.is_behind_pgbouncer else {"options": POSTGRES_TIMEOUTS},
    }


def prepare_sqlite(engine: Engine, folder: Path) -> None:
    """Make SQLite lose no write: our own BEGIN IMMEDIATE replaces the driver's deferred, implicit one.

    A page that only reads opens its transaction with the execution option sqlite_begin="DEFERRED".
    """
    if engine.dialect.name != "sqlite":
        return

    @event.listens_for(engine, "do_connect")
    def _folder(_dialect: object, _record: object, _args: object, _parameters: object) -> None:
        """Create the file's folder if it is the instance's own, so that no command depends on another."""
        if engine.url.database and Path(engine.url.database).parent == folder:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    @event.listens_for(engine, "connect")
    def _connect(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None
        for pragma in SQLITE_PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        kind = connection.get_execution_options().get("sqlite_begin", "IMMEDIATE")
        connection.exec_driver_sql(f"BEGIN {kind}")


def insert(model: type[Base]) -> SQLiteInsert | PostgresInsert:
    """Return INSERT for the database in use, which supports ON CONFLICT."""
    build = sqlite_insert if db.engine.dialect.name == "sqlite" else postgres_insert
    return build(model)


def rows_changed(statement: UpdateBase) -> int:
    """Run a statement and return how many rows it changed: 0 if its conditions no longer hold. Flushes."""
    done = db.session.execute(statement)
    assert isinstance(done, CursorResult)
    return done.rowcount


def init_app(app: Flask, settings: Settings, before_csrf: Callable[[Flask], None]) -> None:
    """Configure every extension for this app. `before_csrf` registers what must also count refused forms."""
    app.config.from_mapping(
        SQLALCHEMY_ENGINE_OPTIONS=engine_options(settings),
        WTF_CSRF_TIME_LIMIT=None,  # a form stays valid as long as its session
        RATELIMIT_STORAGE_OPTIONS=REDIS_OPTIONS if settings.redis_url else {},
        # The Referer check would refuse forms of our no-referrer pages. The token and SameSite protect them.
        WTF_CSRF_SSL_STRICT=False,
    )
    db.init_app(app)
    with app.app_context():
        prepare_sqlite(db.engine, settings.instance_path)
    migrate.init_app(app, db, directory=str(ROOT / "migrations"))
    limiter.init_app(app)
    before_csrf(app)
    csrf.init_app(app)
    login_manager.init_app(app)
    mail.init_app(app)
    jwt.init_app(app)

    @app.before_request
    def _read_only() -> None:
        """Keep read-only pages from taking SQLite's write lock. Pages that sync are marked by `writes`."""
        view = app.view_functions.get(request.endpoint or "")
        reads = view is not None and request.method in ("GET", "HEAD") and not getattr(view, "writes", False)
        if reads:
            reading()


def reading() -> None:
    """Begin a read-only transaction, which does not block writers on SQLite. An open one is rolled back."""
    db.session.rollback()
    if db.engine.dialect.name == "sqlite":
        db.session.connection(execution_options={"sqlite_begin": "DEFERRED"})


def writes(view: View) -> View:
    """Mark a GET view that may write (the success pages), so that its transactions take the write lock
    immediately.
    """
    view.writes = True  # type: ignore[attr-defined]
    return view


def write_aside(statement: Executable) -> None:
    """Write something minor after a request's own work, such as a key's last use; commits.

    It uses its own transaction, because the request's may be read-only. If the database is busy, the write is
    lost: the request must not fail because of it.
    """
    db.session.rollback()
    try:
        db.session.execute(statement)
        db.session.commit()
    except OperationalError as error:
        db.session.rollback()
        log.warning("not_noted", error=type(error.orig).__name__)


def once_committed(do: Callable[..., Any], *args: Any, **facts: Any) -> None:
    """Call `do` when this transaction is committed, and never if it is rolled back.

    For what reports an effect: a log line that people count, a wake-up of the scheduled tasks.
    """
    db.session().info.setdefault(AFTERWARDS, []).append(partial(copy_context().run, do, *args, **facts))


def _run_afterwards(session: Session) -> None:
    if not session.in_nested_transaction():  # the end of a savepoint commits nothing
        for do in session.info.pop(AFTERWARDS, ()):
            do()


def _forget_afterwards(session: Session, transaction: SessionTransaction) -> None:
    if transaction.parent is None:
        session.info.pop(AFTERWARDS, None)


event.listen(Session, "after_commit", _run_afterwards)
event.listen(Session, "after_transaction_end", _forget_afterwards)


def refuse_open_transaction() -> None:
    """Raise if a call to Stripe would be made inside a transaction: locks are never held during a call."""
    if db.session().in_transaction():
        raise RuntimeError("a call to Stripe inside an open transaction; commit first")
