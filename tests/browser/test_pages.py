"""Every page in every state: accessible, narrow, light, by keyboard, under its policy, and among ourselves."""

from collections.abc import Iterator
from urllib.parse import urljoin, urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import checks, hosted_places, scene, tour
from tests.browser.chromium import Window, open_window
from tests.browser.places import Place
from tests.browser.scene import Scene
from tests.support.world import World


@pytest.fixture(scope="module")
def cast(the_world: World) -> Scene:
    """Alice, bob and their things, made once for the whole tour."""
    return scene.prepared(the_world)


@pytest.fixture(scope="module")
def shared(chromium: Browser) -> Iterator[Window]:
    """Open one window for all pages, because each new window starts a process."""
    window = open_window(chromium, viewport=checks.WIDE)
    yield window
    window.context.close()


@pytest.fixture
def window(shared: Window) -> Iterator[Window]:
    """Reset the shared window: no cookies, no media emulation, no complaints or hosts of the page before."""
    page, context = shared.page, shared.context
    context.clear_cookies()
    page.set_viewport_size(checks.WIDE)
    page.emulate_media(reduced_motion="null", color_scheme="null", forced_colors="null")
    shared.complaints.clear()
    shared.hosts.clear()
    yield shared
    page.unroute_all()
    page.goto("about:blank")


def visit(window: Window, cast: Scene, place: Place) -> Page:
    """Open this place; fails if the page is not as it should be."""
    cast.calm()
    window.context.add_cookies(cast.cookies(place.who))
    place.reach(window.page, cast)
    expect(window.page.get_by_role("heading", level=1)).to_contain_text(place.heading)
    window.page.wait_for_load_state()  # the heading may be there before the page has its colors
    stand_still(window.page)
    return window.page


def stand_still(page: Page) -> None:
    """Stop a page that polls for changes from reloading while it is checked."""
    for watched in page.locator("[data-poll]").all():
        page.route(urljoin(page.url, watched.get_attribute("data-poll") or ""), lambda route: route.abort())


@pytest.mark.parametrize("place", tour.PORTAL, ids=lambda place: place.name)
def test_a_page_of_the_portal_keeps_its_promises(window: Window, cast: Scene, place: Place) -> None:
    page = visit(window, cast, place)
    wrong = checks.light(page) + checks.keyboard(page) + checks.accessible(page)
    wrong += checks.narrow(page) + checks.calm(page) + window.complaints
    ours = urlsplit(cast.here.base).netloc
    wrong += [f"asked {host}" for host in window.hosts - {ours, sandbox_pages(cast)}]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("place", hosted_places.PLACES, ids=lambda place: place.name)
def test_a_hosted_page_of_the_sandbox_keeps_them_too(window: Window, cast: Scene, place: Place) -> None:
    page = visit(window, cast, place)
    assert urlsplit(page.url).netloc == sandbox_pages(cast)
    wrong = checks.keyboard(page) + checks.accessible(page) + checks.narrow(page) + window.complaints
    assert not wrong, "\n".join(wrong)


def sandbox_pages(cast: Scene) -> str:
    """The host of the hosted pages: another site than the portal's, as Stripe's are."""
    return urlsplit(cast.here.sandbox.replace("127.0.0.1", "localhost")).netloc
