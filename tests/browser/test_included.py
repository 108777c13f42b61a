"""A plan that includes credits and units, from the pricing page to the last unit."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser import hands
from tests.browser.conftest import Browse
from tests.browser.scene import cookies
from tests.conftest import Person
from tests.support.included import include
from tests.support.usage import Reporter, event, reporter
from tests.support.world import World


@pytest.fixture
def page(here: World, browse: Browse, alice: Person) -> Page:
    """Alice's browser, where Pro includes 20,000 credits and 1,000 API calls a month."""
    with here.app.app_context():
        include("pro", credits=20_000, included={"api_calls": 1_000})
    window = browse()
    window.context.add_cookies(cookies(here, alice))
    return window.page


@pytest.fixture
def server(here: World, page: Page, alice: Person) -> Reporter:
    """Alice's server, after she bought Pro."""
    hands.choose(page, here.base)
    hands.pay(page)
    hands.reveal(page)
    return reporter(here, alice.email)


def test_what_a_plan_includes_is_sold_counted_and_used_up(
    here: World, page: Page, request: pytest.FixtureRequest
) -> None:
    page.goto(f"{here.base}/pricing")
    for words in ("20,000 credits a month", "1,000 API calls a month"):
        expect(page.get_by_text(words, exact=True)).to_be_visible()
    server: Reporter = request.getfixturevalue("server")
    assert server.send(event("a", 480)).status_code == 200
    for path in ("/usage", "/billing"):
        page.goto(f"{here.base}{path}")
        expect(page.get_by_text(re.compile(r"480 of 1,000 included, resets 1 \w+")).first).to_be_visible()
    page.goto(f"{here.base}/credits")
    expect(page.get_by_text("20,000").first).to_be_visible()
    assert server.send(event("b", 520)).status_code == 200
    assert server.send(event("c", 1)).json()["code"] == "included_used_up"
    page.goto(f"{here.base}/usage")
    expect(page.get_by_text(re.compile(r"1,000 of 1,000 included")).first).to_be_visible()
    hands.press(page, "Start pay as you go")
    hands.pay(page, button="Save card")
    page.wait_for_url("**/usage")
    assert server.send(event("c", 1)).status_code == 200
