"""A real browser against a portal on SQLite, its sandbox, and webhooks that arrive by themselves."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser

from tests.browser import chromium as chromium_module
from tests.browser.chromium import Window, open_window
from tests.conftest import leave_out
from tests.support import cast
from tests.support.world import World, world

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
    """One database is enough, because what a browser sees does not depend on it."""
    folder = tmp_path_factory.mktemp("browser")
    with world(folder, f"sqlite:///{folder}/portal.db", "sqlite") as running:
        yield running


@pytest.fixture
def here(the_world: World, request: pytest.FixtureRequest) -> Iterator[World]:
    """The world, empty except for the catalogue, and for bob if the test has him.

    Webhooks are delivered at once.
    """
    the_world.calm()
    cast.begin(the_world, with_bob="bob" in request.fixturenames)
    yield the_world
    the_world.calm()


@pytest.fixture
def browse(chromium: Browser, here: World) -> Iterator[Browse]:
    """Open windows, and check at the end that none had errors or called another host."""
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
    """The hosts of the portal and of the sandbox's hosted pages; "" is the host of data: addresses."""
    pages = here.sandbox.replace("127.0.0.1", "localhost")
    return {here.base.removeprefix("http://"), pages.removeprefix("http://"), ""}
