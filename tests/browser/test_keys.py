"""Keys in a browser: made for one purpose, rotated with an overlap, with JavaScript and without."""

import re

import pytest
import requests
from playwright.sync_api import Page, expect

from tests.browser import hands
from tests.browser.conftest import Browse
from tests.browser.scene import cookies
from tests.conftest import Person
from tests.support.world import World


@pytest.mark.parametrize("javascript", [True, False], ids=["with JavaScript", "without"])
def test_a_key_is_made_rotated_and_revoked(here: World, browse: Browse, alice: Person, javascript: bool) -> None:
    window = browse(java_script_enabled=javascript)
    window.context.add_cookies(cookies(here, alice))
    page = window.page
    page.goto(f"{here.base}/keys")
    page.get_by_label("Name").fill("Website")
    page.get_by_text("What it may do, and until when").click()
    page.get_by_label(re.compile("^Usage")).uncheck()
    page.get_by_label("In 90 days").check()
    hands.press(page, "Create key")
    old = shown(page)
    assert works(here, old)
    page.get_by_role("checkbox", name="I have saved it").check()
    page.get_by_role("link", name="Continue").click()
    expect(page.locator("tbody tr")).to_contain_text("read, spend")
    page.get_by_role("link", name="Rotate Website").click()
    page.get_by_label("In an hour").check()
    hands.press(page, "Rotate")
    new = shown(page)
    assert works(here, old)
    assert works(here, new)
    page.goto(f"{here.base}/keys")
    expect(page.locator("tbody tr")).to_have_count(2)
    expect(page.get_by_role("link", name="Rotate Website")).to_have_count(1)
    page.get_by_role("link", name="Revoke Website").last.click()
    hands.press(page, "Revoke")
    expect(page.get_by_role("status").first).to_contain_text("“Website” is revoked.")
    assert not works(here, old)
    assert works(here, new)


def shown(page: Page) -> str:
    found = hands.KEY.search(page.locator("#secret").inner_text())
    assert found
    return found[0]


def works(here: World, key: str) -> bool:
    headers = {"Authorization": f"Bearer {key}"}
    return requests.get(f"{here.base}/v1/receipt", headers=headers, timeout=30).status_code == 200
