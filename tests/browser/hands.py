"""What people do on the way to a key, by the words that they see."""

import re

from playwright.sync_api import Page, expect

from tests.conftest import PASSWORD
from tests.support.browsing import CARD

KEY = re.compile(r"key_live_\w{40,}")


def press(page: Page, name: str) -> None:
    """Press the one button of this name."""
    page.get_by_role("button", name=name, exact=True).click()


def choose(page: Page, base: str, plan: str = "Pro") -> None:
    """Press a plan's button on the pricing page."""
    page.goto(f"{base}/pricing")
    press(page, f"Choose {plan}")


def sign_up(page: Page, email: str) -> None:
    """Fill in the sign-up page that is open."""
    page.get_by_label("Name").fill("Dora")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    press(page, "Create account")


def pay(page: Page, card: str = CARD, button: str = "Subscribe") -> None:
    """Fill in the hosted checkout page that is open, and press its button."""
    expect(page.get_by_label("Email")).not_to_have_value("")
    fill_card(page, card)
    press(page, button)


def fill_card(page: Page, card: str = CARD) -> None:
    """Fill in the fields of a card."""
    page.get_by_label("Card number").fill(card)
    page.get_by_label("Expiration").fill("12 / 34")
    page.get_by_label("CVC").fill("123")
    page.get_by_label("Name on card").fill("Dora Doe")
    page.get_by_label("ZIP").fill("94107")


def reveal(page: Page) -> str:
    """Press "Reveal my API key", and return the key."""
    press(page, "Reveal my API key")
    shown = page.get_by_text(KEY).first
    expect(shown).to_be_visible()
    found = KEY.search(shown.inner_text())
    assert found
    return found[0]
