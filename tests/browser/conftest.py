"""A real browser against a portal on SQLite, its sandbox, and webhooks that arrive by themselves."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser

from portal.extensions import db, limiter
from tests.browser import chromium as chromium_module
from tests.browser.chromium import Window, open_window
from tests.conftest import leave_out
from tests.support.world import World, empty, world

Browse = Callable[..., Window]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The system's Chromium, one for all tests."""
    if chromium_module.program() is None:
        leave_out("No Chromium was found, so no page was tried in a browser")
    with chromium_module.launched() as browser:
        yield browser


@pytest.fixture(scope="session")
def the_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """What a browser sees does not depend on the database, so one is enough."""
    folder = tmp_path_factory.mktemp("browser")
    with world(folder, f"sqlite:///{folder}/portal.db", "sqlite") as running:
        yield running


@pytest.fixture
def here(the_world: World) -> Iterator[World]:
    """The world, empty but for the catalogue; webhooks arrive as they do in life."""
    the_world.calm()
    with the_world.app.app_context():
        empty(the_world.app)
        db.session.remove()
    limiter.reset()
    yield the_world
    the_world.calm()


@pytest.fixture
def browse(chromium: Browser, here: World) -> Iterator[Browse]:
    """Opens windows; at the end none of them may have complained or have talked to a stranger."""
    windows: list[Window] = []

    def opened(**options: object) -> Window:
        windows.append(open_window(chromium, **options))
        return windows[-1]

    yield opened
    for window in windows:
        window.context.close()
        assert window.complaints == []
        assert window.hosts <= own_hosts(here)


def own_hosts(here: World) -> set[str]:
    """The portal and the sandbox's hosted pages; "" is what data: addresses have for a host."""
    pages = here.sandbox.replace("127.0.0.1", "localhost")
    return {here.base.removeprefix("http://"), pages.removeprefix("http://"), ""}
