"""Fixtures: a world on each database, and a permanent cast: alice buys, bob has bought, charlie is a stranger,
ada is the admin.

A test that uses the world runs on SQLite. These markers change where and when a test runs:

- `both_databases`: also on PostgreSQL. For tests of locks, races, migrations and SQL that we write ourselves.
- `long`: only in `make test-long`. For other programs that judge ours, and for long runs of hypothesis.
- `browser` and `postgresql` are added here, to tests that use Chromium or PostgreSQL; `make test-fast` leaves
  both out. Do not write them yourself.

A test without `both_databases` has its run on PostgreSQL in `make test-long`.

pytest-flask brings `client` and `config`, for tests with one caller who does not sign in. It keeps a request
pushed while a fixture named `app` is in use, and clients inside it share `g`, where Flask-Login remembers who
signed in. So tests with two people, sign-in or webhooks use real HTTP: `visitor`, `alice` and the others.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update

from portal import clock
from portal.accounts import passwords, people
from portal.extensions import db, limiter
from portal.models import User
from tests.support import browsing, servers
from tests.support.world import World, drop_databases, empty, fresh_database, world

PASSWORD = "correct horse battery staple"
LEFT_OUT: set[str] = set()


def leave_out(what: str) -> None:
    """Skip, and say so in the suite's last lines."""
    LEFT_OUT.add(what)
    pytest.skip(what)


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reasons = {str(report.longrepr[2]) for report in terminalreporter.stats.get("skipped", [])}
    for reason in sorted(reasons):
        terminalreporter.write_line(f"LEFT OUT: {reason.removeprefix('Skipped: ')}", red=True, bold=True)


def pytest_configure(config: pytest.Config) -> None:
    for marker in ("both_databases", "long", "browser", "postgresql"):
        config.addinivalue_line("markers", f"{marker}: see tests/conftest.py")


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add the markers that follow from what a test uses."""
    # The cast signs in a thousand times, and no stranger can guess at it: test_passwords holds the real cost.
    passwords.HASHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    for item in items:
        values = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
        if "chromium" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")
        if "postgresql" in (values.get("the_world"), values.get("bare")):
            item.add_marker("postgresql")
            if item.get_closest_marker("both_databases") is None:
                item.add_marker("long")


def worker() -> str:
    """This test process, among those of this run and of others on the same machine."""
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
def here(the_world: World) -> Iterator[World]:
    """The world, empty but for the catalogue; webhooks are held until a test flushes them."""
    the_world.calm()
    the_world.deliveries(hold=True)
    with the_world.app.app_context():
        empty(the_world.app)
        db.session.remove()
    limiter.reset()
    if the_world.locks:
        the_world.locks.is_watching = True
    yield the_world
    the_world.calm()
    if the_world.locks:
        the_world.locks.check()


@pytest.fixture
def app(here: World) -> Iterator[Flask]:
    """The portal inside an app context, for tests of verbs; pytest-flask finds it by its name."""
    with here.app.app_context():
        yield here.app
        db.session.rollback()
        db.session.remove()


@dataclass(frozen=True)
class Person:
    """Somebody of the cast: their user id, and a browser of their own."""

    user_id: int
    email: str
    browser: browsing.Browser

    @property
    def user(self) -> User:
        found = db.session.get(User, self.user_id)
        assert found is not None
        return found

    def prove(self) -> None:
        """Have followed the link that verifies the address."""
        with self.browser.here.app.app_context():
            db.session.execute(update(User).where(User.id == self.user_id).values(verified_at=clock.now()))
            db.session.commit()
            db.session.remove()


def person(here: World, name: str, *, role: str = "customer", signed_in: bool = True) -> Person:
    """Make somebody, and sign them in through the sign-in page."""
    email = f"{name}@example.com"
    with here.app.app_context():
        made = people.create(email, name.capitalize(), PASSWORD, role=role)
        assert made is not None
        user_id = made.id
        db.session.commit()
        db.session.remove()
    browser = browsing.Browser(here)
    if signed_in:
        browser.sign_in(email, PASSWORD)
    return Person(user_id, email, browser)


@pytest.fixture
def alice(here: World) -> Person:
    """Signed in, about to buy."""
    return person(here, "alice")


@pytest.fixture
def bob(here: World) -> Person:
    """Signed in, has bought Pro; every webhook about it has arrived."""
    someone = person(here, "bob")
    someone.browser.buy("pro-monthly")
    here.flush()
    return someone


@pytest.fixture
def charlie(here: World) -> Person:
    """Signed in, a stranger to everybody's things."""
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
