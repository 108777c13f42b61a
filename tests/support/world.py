"""One portal, its database and its sandbox, and what tests do with them."""

import contextlib
import functools
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
import stripe
from flask import Flask
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.engine import make_url

from portal import create_app
from portal import settings as settings_module
from portal.catalogue import catalogue_file, load, push
from portal.extensions import db, limiter
from portal.settings.model import CATALOGUE
from tests.support import kept, servers
from tests.support.kept import State, changes_allowed
from tests.support.lock_order import LockOrder

EMPTY = "the catalogue, and nothing else"


@dataclass(frozen=True)
class World:
    """A running portal on one database, with its sandbox. `base` is the portal's address."""

    app: Flask
    base: str
    sandbox: str
    database: str
    locks: LockOrder = field(repr=False)
    wire: requests.Session = field(default_factory=requests.Session, repr=False)
    saved: dict[str, Any] = field(default_factory=dict, repr=False)  # states, and who was there, by name

    def stripe(self, mode: str = "live") -> stripe.StripeClient:
        """Return the official SDK, connected to the sandbox."""
        return _client(self.sandbox, mode)

    def control(self, what: str, **switches: Any) -> dict[str, Any]:
        """Change one of the sandbox's own settings, or trigger one of its actions; return its response."""
        answer = self.wire.post(f"{self.sandbox}/_config/{what}", json=switches, timeout=60)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def deliveries(self, **switches: Any) -> None:
        """Hold, delay or reorder webhooks; drop or duplicate that many of the next ones."""
        self.control("deliveries", **switches)

    def lose_webhooks(self) -> None:
        """Drop every webhook from now on."""
        self.deliveries(drop=1_000_000)

    def flush(self) -> None:
        """Send what is held, and wait until all of it was answered."""
        eventually(lambda: self.control("deliveries/flush")["waiting"] == 0)  # busy, it may answer before

    def hold_settlements(self) -> None:
        """Make banks answer debits and refunds only when `settle` is called."""
        self.control("settlements", hold=True)

    def settle(self) -> None:
        """Make the banks answer now; the resulting webhooks wait for a flush."""
        self.control("settlements/flush")

    def fail(self, **plan: Any) -> None:
        """Make the next calls to Stripe fail, hang, or lose their responses."""
        self.control("failures", **plan)

    def rewrite(self, stripe_id: str, **fields: str) -> None:
        """Make Stripe return values for an object that the sandbox never returns by itself."""
        self.control(f"objects/{stripe_id}", **fields)

    def save(self) -> State:
        """Return what the portal and the sandbox have stored."""
        with self.app.app_context():
            state = kept.save(self.app, self.control("save")["saved"])
            db.session.remove()
        return state

    def restore(self, state: State) -> None:
        """Make the portal and the sandbox have stored this, and nothing else; held webhooks are lost."""
        with self.app.app_context():
            kept.restore(self.app, state)
        self.control("restore", saved=state.stripe)
        limiter.reset()

    def calm(self) -> None:
        """Remove all faults, and discard what is held: before the reset, which would deliver it."""
        self.control("deliveries/discard")
        self.control("reset")
        self.control("deliveries/discard")


@functools.cache
def _client(sandbox: str, mode: str) -> stripe.StripeClient:
    """Return the one client of a sandbox and mode, without one for async calls, which reads all certificates."""
    return stripe.StripeClient(
        servers.LIVE_KEY if mode == "live" else servers.TEST_KEY,
        base_addresses={"api": sandbox},
        max_network_retries=0,
        http_client=stripe.RequestsClient(),
    )


def eventually(check: Callable[[], Any], seconds: float = 60) -> Any:
    """Return the first true result of `check`; fails if there is none in time."""
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
    """Start everything on this database, its schema created by the migrations. `ports` are the portal's, the one
    that webhooks go to, and the sandbox's; `api_port` is where the portal finds Stripe's API. Checkers can be
    put between them.
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
            running = World(app, base, sandbox, kind, LockOrder(db.engine))
        with servers.served(app, port):
            load_catalogue(running)
            yield running
        with app.app_context():
            db.engine.dispose()


def load_catalogue(here: World) -> None:
    """Have the catalogue in the portal and at Stripe. No webhook is sent about it, so that no test hears of it."""
    here.deliveries(hold=True)
    with here.app.app_context():
        settings = here.app.extensions["settings"]
        load.into_database(catalogue_file.read(settings.catalogue), settings.price_ids)
        db.session.commit()
        for mode in ("live", "test"):
            list(push.push(mode))
        db.session.commit()
        db.session.remove()
    here.calm()
    here.saved[EMPTY] = here.save()


@contextlib.contextmanager
def gunicorn(here: World, app: str = "wsgi:app", *options: str) -> Iterator[str]:
    """Serve this world's portal under gunicorn with its own settings file, and return the address."""
    settings: settings_module.Settings = here.app.extensions["settings"]
    port = servers.free_port()
    given = environ(settings.instance_path, settings.database_url, port, here.sandbox)
    command = [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", *options, app]
    with (settings.instance_path / "gunicorn.log").open("w") as log:
        process = subprocess.Popen(command, cwd=servers.ROOT, env=os.environ | given, stdout=log, stderr=log)
        try:
            base = f"http://127.0.0.1:{port}"
            servers.wait_until_up(f"{base}/healthz")
            yield base
        finally:
            process.terminate()
            process.wait(30)


def environ(folder: Path, database_url: str, port: int, sandbox: str) -> dict[str, str]:
    """The settings of a portal under test."""
    pages = sandbox.replace("127.0.0.1", "localhost")
    return {
        "PORT": str(port),
        "INSTANCE_PATH": str(folder),
        "CATALOGUE": str(catalogue(folder)),
        "DATABASE_URL": database_url,
        "SECRET_KEY": "only-for-tests-0123456789abcdef0123456789",
        "STRIPE_SECRET_KEY": servers.LIVE_KEY,
        "STRIPE_WEBHOOK_SECRET": servers.SECRETS["live"],
        "STRIPE_TEST_SECRET_KEY": servers.TEST_KEY,
        "STRIPE_TEST_WEBHOOK_SECRET": servers.SECRETS["test"],
        "STRIPE_API_BASE": sandbox,
        "CHECKOUT_ORIGINS": pages,
    }


def catalogue(folder: Path) -> Path:
    """Write the sample, with plans that include nothing: a test says how much (tests/support/included.py)."""
    path = folder / "catalogue.toml"
    path.write_text(re.sub(r"^(credits = \S+\n)?included = .*\n", "", CATALOGUE.read_text(), flags=re.MULTILINE))
    return path


@contextlib.contextmanager
def _administering(server: str) -> Iterator[Connection]:
    engine = create_engine(make_url(server).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def fresh_database(server: str, name: str) -> str:
    """Create an empty database of this name on a PostgreSQL server, and return its URL."""
    with _administering(server) as connection:
        connection.execute(text(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))
        connection.execute(text(f'CREATE DATABASE "{name}"'))
        connection.execute(text(f'ALTER DATABASE "{name}" SET synchronous_commit TO off'))  # it may be lost
    url = make_url(server).set(drivername="postgresql+psycopg", database=name)
    return url.render_as_string(hide_password=False)


def drop_databases(server: str, *, ending: str) -> None:
    """Drop the databases whose names have this ending."""
    with _administering(server) as connection:
        names = connection.execute(text("SELECT datname FROM pg_database")).scalars().all()
        for name in names:
            if name.endswith(ending):
                connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))


__all__ = [
    "World",
    "catalogue",
    "changes_allowed",
    "drop_databases",
    "environ",
    "eventually",
    "fresh_database",
    "world",
]
