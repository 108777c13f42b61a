"""Test billing in a browser: the chain as it happens, refreshed by a script, or by "Check again" without one."""

import re

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select

from portal.extensions import db
from portal.models import Customer
from tests.browser import hands
from tests.browser.conftest import Browse
from tests.browser.scene import cookies
from tests.conftest import Person
from tests.support.world import World

pytestmark = pytest.mark.xdist_group("browser")
both_ways = pytest.mark.parametrize("javascript", [True, False], ids=["with JavaScript", "without"])
KINDS = {"credits:basic": "5,500 credits", "plan:pro-monthly": "Pro", "usage:usage": "Pay as you go"}


@pytest.fixture
def page(here: World, browse: Browse, ada: Person, javascript: bool) -> Page:
    """Ada's browser."""
    window = browse(java_script_enabled=javascript)
    window.context.add_cookies(cookies(here, ada))
    return window.page


def buy(here: World, page: Page, bob: Person, item: str, card: str = "Succeeds") -> None:
    """Find Bob, and create a test purchase for him; ends on its chain."""
    page.goto(f"{here.base}/admin/test-billing")
    page.get_by_label("Search").fill("bob@")
    hands.press(page, "Search")
    page.get_by_role("link", name=bob.email).click()
    page.get_by_label("What").select_option(item)
    page.get_by_label("Card").select_option(card)
    hands.press(page, "Create test purchase")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Test purchase PO-")


@both_ways
@pytest.mark.parametrize("item", KINDS)
def test_the_chain_is_on_screen(here: World, page: Page, bob: Person, item: str, javascript: bool) -> None:
    buy(here, page, bob, item)
    expect(page.get_by_text("TEST MODE: no real charges")).to_be_visible()
    if not javascript:
        here.flush()
        hands.press(page, "Check again")
    expect(page.locator(".timeline")).to_contain_text("Processed")
    expect(page.get_by_text(KINDS[item]).first).to_be_visible()
    expect(page.locator('a[href*="/dashboard/test/"]').first).to_be_visible()
    with here.app.app_context():
        live = db.session.execute(select(Customer.credit_balance).filter_by(user_id=bob.user_id, mode="live"))
        assert live.scalar_one() == 0
        db.session.remove()


@pytest.mark.parametrize("javascript", [True])
@pytest.mark.parametrize(
    ("card", "words"),
    [("Is declined", "Failed"), ("Needs authentication", "Incomplete"), ("Fails at renewal", "Active")],
)
def test_each_card_shows_what_it_does(
    here: World, page: Page, bob: Person, card: str, words: str, javascript: bool
) -> None:
    page.goto(f"{here.base}/admin/test-billing/{bob.user_id}")
    label = page.get_by_label("Card").get_by_role("option", name=re.compile(f"^{card}")).inner_text()
    buy(here, page, bob, "plan:pro-monthly", label)
    expect(page.get_by_text(words).first).to_be_visible()


@pytest.mark.parametrize("javascript", [True])
def test_time_travels_by_a_button(here: World, page: Page, bob: Person, javascript: bool) -> None:
    page.goto(f"{here.base}/admin/test-billing/{bob.user_id}")
    page.get_by_label("On a test clock").check()
    page.get_by_label("What").select_option("plan:pro-monthly")
    hands.press(page, "Create test purchase")
    hands.press(page, "Next renewal")
    expect(page.get_by_text("The clock goes on to")).to_be_visible()
    here.flush()
    page.reload()
    expect(page.locator(".timeline")).to_contain_text("invoice.paid")
