"""Every page in every state: accessible, narrow, light, by keyboard, under its policy, and among ourselves."""

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


def visit(chromium: Browser, cast: Scene, place: Place) -> Window:
    """A fresh window at this place; where a page is not what it should be, this fails."""
    cast.calm()
    window = open_window(chromium, cast.cookies(place.who), viewport=checks.WIDE)
    place.reach(window.page, cast)
    expect(window.page.get_by_role("heading", level=1)).to_contain_text(place.heading)
    window.page.wait_for_load_state()  # the heading may stand there before the page has its colours
    stand_still(window.page)
    return window


def stand_still(page: Page) -> None:
    """Give a page that waits for news no answers: it would reload itself while it is checked."""
    for watched in page.locator("[data-poll]").all():
        page.route(urljoin(page.url, watched.get_attribute("data-poll") or ""), lambda route: route.abort())


@pytest.mark.parametrize("place", tour.PORTAL, ids=lambda place: place.name)
def test_a_page_of_the_portal_keeps_its_promises(chromium: Browser, cast: Scene, place: Place) -> None:
    window = visit(chromium, cast, place)
    page = window.page
    wrong = checks.light(page) + checks.keyboard(page) + checks.accessible(page)
    wrong += checks.narrow(page) + checks.calm(page) + window.complaints
    ours = urlsplit(cast.here.base).netloc
    wrong += [f"asked {host}" for host in window.hosts - {ours, sandbox_pages(cast)}]
    window.context.close()
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("place", hosted_places.PLACES, ids=lambda place: place.name)
def test_a_hosted_page_of_the_sandbox_keeps_them_too(chromium: Browser, cast: Scene, place: Place) -> None:
    window = visit(chromium, cast, place)
    page = window.page
    assert urlsplit(page.url).netloc == sandbox_pages(cast)
    wrong = checks.keyboard(page) + checks.accessible(page) + checks.narrow(page) + window.complaints
    window.context.close()
    assert not wrong, "\n".join(wrong)


def sandbox_pages(cast: Scene) -> str:
    """The host of the hosted pages: another site than the portal's, as Stripe's are."""
    return urlsplit(cast.here.sandbox.replace("127.0.0.1", "localhost")).netloc
