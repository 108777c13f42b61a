"""Fixtures: a world on each database, and a permanent cast: alice buys, bob has bought, charlie is a stranger,
ada is the admin.

A test that uses the world runs on SQLite. These markers change where and when a test runs:

- `both_databases`: also on PostgreSQL. For tests of locks, races, migrations and SQL that we write ourselves.
- `long`: only in `make test-long`. For other programs that judge ours, and for long runs of hypothesis.
- `browser`, `postgresql` and `world` are added here, to tests that use Chromium, PostgreSQL, or a running portal
  with its sandbox; `make test-fast` leaves them out. Do not write them yourself.

A test without `both_databases` has its run on PostgreSQL in `make test-long`.

pytest-flask brings `client` and `config`, for tests with one caller who does not sign in. It keeps a request
pushed while a fixture named `app` is in use, and clients inside it share `g`, where Flask-Login remembers who
signed in. So tests with two people, sign-in or webhooks use real HTTP: `visitor`, `alice` and the others.
"""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient

from portal import extensions
from portal.accounts.security import passwords
from portal.extensions import db
from portal.gateway import calls
from tests.support import browsing, cast, servers
from tests.support.cast import PASSWORD, Person, person
from tests.support.world import World, drop_databases, fresh_database, world

__all__ = ["PASSWORD", "Person", "person"]

PATIENCE_SECONDS = 30
LEFT_OUT: set[str] = set()


def leave_out(what: str) -> None:
    """Skip a test, and say so in the summary's last lines."""
    LEFT_OUT.add(what)
    pytest.skip(what)


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reasons = {str(report.longrepr[2]) for report in terminalreporter.stats.get("skipped", [])}
    for reason in sorted(reasons):
        terminalreporter.write_line(f"LEFT OUT: {reason.removeprefix('Skipped: ')}", red=True, bold=True)


def pytest_configure(config: pytest.Config) -> None:
    for marker in ("both_databases", "long", "browser", "postgresql", "world"):
        config.addinivalue_line("markers", f"{marker}: see tests/conftest.py")
    # The cast has a thousand passwords, and no stranger can guess at them: test_passwords holds the real cost.
    passwords.HASHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    # A database of tests may be lost with its machine, and nothing is refused because the machine is busy.
    extensions.SQLITE_PRAGMAS += ("synchronous=OFF", f"busy_timeout={PATIENCE_SECONDS * 1000}")
    limits = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
    extensions.POSTGRES_TIMEOUTS = " ".join(f"-c {name}={PATIENCE_SECONDS}s" for name in limits)
    calls.SECONDS = calls.QUICK_SECONDS = PATIENCE_SECONDS


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add the markers that follow from what a test uses."""
    for item in items:
        values = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
        if "chromium" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")
        if "the_world" in getattr(item, "fixturenames", ()):
            item.add_marker("world")
        if "postgresql" in (values.get("the_world"), values.get("bare")):
            item.add_marker("postgresql")
            if item.get_closest_marker("both_databases") is None:
                item.add_marker("long")


def pytest_collection_finish() -> None:
    """Keep the garbage collector from looking through the tests themselves, and from running often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)  # a twentieth of the suite's time


def worker() -> str:
    """Return a name of this test process that no other on this machine has."""
    return f"{os.environ.get('PYTEST_XDIST_WORKER', 'main')}_{os.getpid()}"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A real PostgreSQL, shared by the test processes; each drops its own databases at the end."""
    url = servers.postgres()
    if url is None:
        leave_out("PostgreSQL could not be had, so nothing was tested on it")
    yield url
    drop_databases(url, ending=worker())


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def the_world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One portal, database and sandbox for the whole test process, once on each database."""
    kind: str = request.param
    folder: Path = tmp_path_factory.mktemp(kind)
    if kind == "sqlite":
        url = f"sqlite:///{folder}/portal.db"
    else:
        url = fresh_database(request.getfixturevalue("postgres_server"), f"portal_{worker()}")
    with world(folder, url, kind) as running:
        yield running


@pytest.fixture
def here(the_world: World, request: pytest.FixtureRequest) -> Iterator[World]:
    """The world, empty except for the catalogue, and for bob if the test has him; webhooks are held until a test
    flushes them.
    """
    the_world.calm()
    the_world.deliveries(hold=True)
    the_world.locks.is_watching = True
    cast.begin(the_world, with_bob="bob" in request.fixturenames)
    yield the_world
    the_world.calm()
    the_world.locks.check()


@pytest.fixture
def app(here: World) -> Iterator[Flask]:
    """The portal inside an app context, for tests of functions; pytest-flask finds it by its name."""
    with here.app.app_context():
        yield here.app
        db.session.rollback()
        db.session.remove()


@pytest.fixture
def alice(here: World) -> Person:
    """Signed in, about to buy."""
    return person(here, "alice")


@pytest.fixture
def bob(here: World) -> Person:
    """Signed in, has bought Pro; every webhook about it has arrived."""
    return cast.bob(here)


@pytest.fixture
def new_bob(here: World) -> Person:
    """Bob, who has bought Pro a moment ago: for amounts that Stripe computes to the second."""
    return cast.bob(here)


@pytest.fixture
def charlie(here: World) -> Person:
    """Signed in; owns nothing, and nothing of the others."""
    return person(here, "charlie")


@pytest.fixture
def ada(here: World) -> Person:
    """The admin, signed in."""
    return person(here, "ada", role="admin")


@pytest.fixture
def visitor(here: World) -> browsing.Browser:
    """A browser that nobody is signed in with."""
    return browsing.Browser(here)


@pytest.fixture
def http(here: World) -> FlaskClient:
    """A bare client, for APIs and webhooks."""
    return here.app.test_client()
