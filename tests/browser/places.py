"""What a place is, a page in one of its states, and the ways there that rooms share."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from playwright.sync_api import Page, expect

from tests.browser import hands
from tests.browser.scene import Scene

Reach = Callable[[Page, Scene], object]


@dataclass(frozen=True)
class Place:
    """A page in one of its states: who sees it, how they get there, and the heading that it has then."""

    name: str
    who: str
    heading: str
    reach: Reach


def at(path: str) -> Reach:
    """Go there by its address."""
    return lambda page, scene: page.goto(scene.url(path))


def mailed(purpose: str, path: str) -> Reach:
    """Go there by a link in a mail."""
    return lambda page, scene: page.goto(scene.url(path + scene.token(purpose)))


def pressing(button: str, reach: Reach, **values: str) -> Reach:
    """Go there by filling in these fields by label and pressing this button."""

    def reached(page: Page, scene: Scene) -> None:
        reach(page, scene)
        form = page.locator("form").filter(has=page.get_by_role("button", name=button, exact=True)).first
        for label, value in values.items():
            form.get_by_label(label).fill(value)
        hands.press(page, button)

    return reached


def refused(button: str, reach: Reach, **values: str) -> Reach:
    """Do the same with values that the portal refuses: the page comes back with an error."""
    press = pressing(button, reach, **values)

    def reached(page: Page, scene: Scene) -> None:
        press(page, scene)
        expect(page).to_have_title(re.compile("^Error: "))

    return reached


def checkout(page: Page, scene: Scene) -> None:
    hands.choose(page, scene.here.base)
    expect(page.get_by_label("Card number")).to_be_visible()


def session_id(page: Page) -> str:
    return page.url.rpartition("/")[2]


def success(page: Page, scene: Scene) -> None:
    checkout(page, scene)
    hands.pay(page)
    page.wait_for_url("**/billing/success?*")
