"""Changing, cancelling and resuming a plan with a browser, with JavaScript and without."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser import hands
from tests.browser.conftest import Browse
from tests.browser.scene import cookies
from tests.conftest import Person
from tests.support.looking import tier
from tests.support.world import World

both_ways = pytest.mark.parametrize("javascript", [True, False], ids=["with JavaScript", "without"])


@pytest.fixture
def page(here: World, browse: Browse, bob: Person, javascript: bool) -> Page:
    """Bob's browser."""
    window = browse(java_script_enabled=javascript)
    window.context.add_cookies(cookies(here, bob))
    window.page.goto(f"{here.base}/billing")
    return window.page


@both_ways
def test_a_plan_is_changed_at_once(here: World, page: Page, javascript: bool) -> None:
    page.get_by_role("link", name="Change plan").click()
    page.get_by_role("link", name="Choose Enterprise by the month").click()
    expect(page.get_by_text("Due today", exact=True)).to_be_visible()
    hands.press(page, "Confirm change")
    expect(page.get_by_text("Your plan is now Enterprise")).to_be_visible()
    assert tier(here) == "enterprise"


@both_ways
def test_a_change_at_renewal_is_planned_and_taken_back(here: World, page: Page, javascript: bool) -> None:
    page.goto(f"{here.base}/pricing")
    page.get_by_role("link", name="Choose Starter").click()
    hands.press(page, "Confirm change")
    expect(page.get_by_text("Your plan changes to Starter, $19.99 a month, on")).to_be_visible()
    hands.press(page, "Keep current plan")
    expect(page.get_by_text("Your plan stays as it is.")).to_be_visible()
    expect(page.get_by_role("button", name="Keep current plan")).to_have_count(0)


@both_ways
def test_a_plan_is_cancelled_and_resumed(here: World, page: Page, javascript: bool) -> None:
    page.get_by_role("link", name="Cancel plan").click()
    page.get_by_label("I don't use it enough").check()
    page.get_by_label("What would have kept you?").fill("More days in a week")
    hands.press(page, "Cancel at period end")
    expect(page.get_by_text("Your Pro plan ends on")).to_be_visible()
    hands.press(page, "Resume plan")
    expect(page.get_by_text("Your plan goes on as before.")).to_be_visible()
    expect(page.get_by_role("link", name="Cancel plan")).to_be_visible()
