"""Credits from the purchase to the last line of the export, with JavaScript and without."""

import csv
import re

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select

from portal.extensions import db
from portal.models import Payment
from tests.browser import hands
from tests.browser.conftest import Browse
from tests.browser.scene import cookies
from tests.conftest import Person
from tests.support.browsing import DECLINED
from tests.support.world import World, eventually

SUCCESS = re.compile(r"/credits/success\?session_id=cs_live_")
both_ways = pytest.mark.parametrize("javascript", [True, False], ids=["with JavaScript", "without"])


@pytest.fixture
def page(here: World, browse: Browse, alice: Person, javascript: bool) -> Page:
    """Alice's browser."""
    window = browse(java_script_enabled=javascript, accept_downloads=True)
    window.context.add_cookies(cookies(here, alice))
    return window.page


def buy(here: World, page: Page, package: str = "Basic") -> None:
    """Buy credits, from their page to the success page."""
    page.goto(f"{here.base}/credits")
    hands.press(page, f"Buy {package}")
    hands.pay(page, button="Pay")
    expect(page).to_have_url(SUCCESS)


def refund(here: World, amount: int) -> None:
    """Refund a part, as an operator does in Stripe's Dashboard, and wait until the portal knows."""
    with here.app.app_context():
        intent = db.session.execute(select(Payment.stripe_id)).scalar_one()
        db.session.remove()
    here.stripe().v1.refunds.create({"payment_intent": intent, "amount": amount})
    here.flush()


def lines(page: Page) -> list[str]:
    """The rows of the history, each as one line of text."""
    return [" ".join(row.split()) for row in page.locator("tbody tr").all_inner_texts()]


@both_ways
def test_credits_are_bought_refunded_and_told_of(here: World, page: Page, javascript: bool) -> None:
    page.goto(f"{here.base}/history")
    page.get_by_role("link", name="Buy credits").click()
    expect(page).to_have_url(f"{here.base}/credits")
    buy(here, page)
    expect(page.get_by_role("heading", level=1)).to_have_text("Thank you. 5,500 credits were added.")
    refund(here, 900)
    page.goto(f"{here.base}/history")
    newest, oldest = lines(page)
    assert "Refund" in newest
    assert "−1,100" in newest
    assert "4,400" in newest
    assert "Credits bought 5,500 credits" in oldest
    assert "$45.00" in oldest
    assert "+5,500" in oldest
    assert "Partly refunded" in oldest
    expect(page.get_by_role("link", name="4,400 credits")).to_be_visible()


@both_ways
def test_the_history_is_narrowed_and_exported(here: World, page: Page, javascript: bool) -> None:
    buy(here, page)
    refund(here, 900)
    page.goto(f"{here.base}/history")
    page.get_by_label("Show").select_option("Refunds and disputes")
    hands.press(page, "Apply")
    expect(page.locator("tbody tr")).to_have_count(1)
    with page.expect_download() as download:
        page.get_by_role("link", name="Export CSV").click()
    with download.value.path().open(newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert (row["Kind"], row["Amount"], row["Currency"], row["Credits"]) == ("refund", "-9.00", "USD", "-1100")
    assert row["Date (UTC)"].endswith("Z")
    page.get_by_role("link", name="Show everything").click()
    expect(page.locator("tbody tr")).to_have_count(2)
    page.get_by_label("Search").fill("nothing of this name")
    hands.press(page, "Apply")
    expect(page.get_by_text("Nothing in your history fits this.")).to_be_visible()


@both_ways
def test_a_declined_card_brings_no_credits_and_another_one_does(here: World, page: Page, javascript: bool) -> None:
    page.goto(f"{here.base}/credits")
    hands.press(page, "Buy Starter")
    hands.pay(page, DECLINED, button="Pay")
    expect(page.get_by_role("alert")).to_contain_text("declined")
    hands.pay(page, button="Pay")
    expect(page).to_have_url(SUCCESS)
    page.goto(f"{here.base}/history")
    eventually(lambda: len(lines(page)) == 1)


@both_ways
def test_the_receipt_is_a_click_away(here: World, page: Page, javascript: bool) -> None:
    buy(here, page)
    page.goto(f"{here.base}/history")
    receipt = page.get_by_role("link", name=re.compile("^Receipt of "))
    expect(receipt).to_have_attribute("href", re.compile("^https?://"))
