"""A second factor from the account page to the next sign-in, with JavaScript and without."""

import re

import pyotp
import pytest
from playwright.sync_api import Page, expect

from portal import clock
from tests.browser import hands
from tests.browser.conftest import Browse
from tests.browser.scene import cookies
from tests.conftest import PASSWORD, Person
from tests.support.world import World


def sign_in(here: World, page: Page) -> None:
    """Sign out, and in again up to the code."""
    page.goto(f"{here.base}/account")
    hands.press(page, "Sign out everywhere")
    page.get_by_label("Email").fill("alice@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    hands.press(page, "Sign in")
    expect(page.get_by_role("heading", level=1)).to_have_text("Enter your code")


def enter(page: Page, code: str) -> None:
    page.get_by_label("Code").fill(code)
    hands.press(page, "Sign in")


@pytest.mark.parametrize("javascript", [True, False], ids=["with JavaScript", "without"])
def test_a_second_factor_is_set_up_asked_for_lost_and_turned_off(
    here: World, browse: Browse, alice: Person, javascript: bool
) -> None:
    page = browse(java_script_enabled=javascript, cookies=cookies(here, alice)).page
    page.goto(f"{here.base}/account")
    page.get_by_role("link", name="Manage Second factor").click()
    hands.press(page, "Set up")
    expect(page.get_by_role("img", name="The secret below")).to_be_visible()
    app = pyotp.TOTP(page.locator(".copyable").inner_text())
    used = app.at(clock.now())
    page.get_by_label("Code").fill(used)
    hands.press(page, "Turn on")
    codes = page.locator("#secret").inner_text().split()
    assert len(codes) == 10
    page.get_by_label("I have saved them").check()
    page.get_by_role("link", name="Continue").click()
    expect(page.get_by_text("On since")).to_be_visible()

    sign_in(here, page)
    enter(page, used)
    expect(page.get_by_role("alert")).to_contain_text("used already")
    enter(page, app.at(clock.now(), counter_offset=1))
    expect(page).to_have_url(f"{here.base}/account")

    sign_in(here, page)
    enter(page, codes[0])
    expect(page.get_by_text("You have 9 left.")).to_be_visible()
    page.goto(f"{here.base}/account/second-factor")
    page.get_by_role("link", name="Turn off").click()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_label(re.compile("^Code")).fill(codes[1])
    hands.press(page, "Turn off")
    expect(page.get_by_text("Sign-in asks for your password alone.")).to_be_visible()
