"""The whole purchase, as a stranger makes it, with JavaScript and without."""

import re

import pytest
import requests
from playwright.sync_api import Page, expect
from sqlalchemy import select

from portal.extensions import db
from portal.models import Order
from tests.browser import hands
from tests.browser.conftest import Browse
from tests.browser.scene import cookies
from tests.conftest import Person
from tests.support.browsing import AUTHENTICATE, DECLINED
from tests.support.world import World

SUCCESS = re.compile("/billing/success")
both_ways = pytest.mark.parametrize("javascript", [True, False], ids=["with JavaScript", "without"])


def at_checkout(here: World, page: Page) -> None:
    hands.choose(page, here.base)
    expect(page).to_have_url(re.compile(f"^{here.base}/signup"))
    hands.sign_up(page, "dora@example.com")
    expect(page).to_have_url(re.compile(r"^http://localhost:\d+/c/pay/"))


def bought(here: World, page: Page) -> None:
    at_checkout(here, page)
    hands.pay(page)
    expect(page).to_have_url(SUCCESS)


def tier_of(here: World, key: str) -> str:
    headers = {"Authorization": f"Bearer {key}"}
    return str(requests.get(f"{here.base}/v1/receipt", headers=headers, timeout=30).json()["tier"])


@both_ways
def test_a_stranger_buys_pro_and_gets_a_key_that_works(here: World, browse: Browse, javascript: bool) -> None:
    page = browse(java_script_enabled=javascript).page
    bought(here, page)
    key = hands.reveal(page)
    assert tier_of(here, key) == "pro"
    page.get_by_label("I have saved it").check()
    page.get_by_role("link", name="Continue").click()
    expect(page).to_have_url(f"{here.base}/billing")
    expect(page.get_by_role("heading", name="Pro")).to_be_visible()


def test_copy_says_that_it_copied_and_continue_waits_for_the_checkbox(here: World, browse: Browse) -> None:
    window = browse()
    window.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=here.base)
    bought(here, window.page)
    key = hands.reveal(window.page)
    hands.press(window.page, "Copy")
    expect(window.page.get_by_role("status").filter(has_text="Copied.")).to_be_visible()
    assert window.page.evaluate("navigator.clipboard.readText()") == key
    onward = window.page.get_by_role("link", name="Continue")
    expect(onward).to_have_attribute("aria-disabled", "true")
    onward.click(force=True)
    expect(window.page).to_have_url(re.compile("/billing/success/reveal"))
    window.page.get_by_label("I have saved it").check()
    expect(onward).to_have_attribute("aria-disabled", "false")


@both_ways
def test_a_declined_card_says_so_and_another_one_pays(here: World, browse: Browse, javascript: bool) -> None:
    page = browse(java_script_enabled=javascript).page
    at_checkout(here, page)
    hands.pay(page, DECLINED)
    expect(page.get_by_role("alert")).to_contain_text("declined")
    expect(page.get_by_label("Card number")).to_have_value("")
    hands.pay(page)
    expect(page).to_have_url(SUCCESS)


@both_ways
def test_a_bank_that_asks_hears_yes(here: World, browse: Browse, javascript: bool) -> None:
    page = browse(java_script_enabled=javascript).page
    at_checkout(here, page)
    hands.pay(page, AUTHENTICATE)
    hands.press(page, "Complete")
    expect(page).to_have_url(SUCCESS)
    assert tier_of(here, hands.reveal(page)) == "pro"


def test_a_bank_that_hears_no_charges_nothing_and_another_card_pays(here: World, browse: Browse) -> None:
    page = browse().page
    at_checkout(here, page)
    hands.pay(page, AUTHENTICATE)
    hands.press(page, "Fail")
    expect(page.get_by_role("alert")).to_contain_text("authenticat")
    hands.pay(page)
    expect(page).to_have_url(SUCCESS)


def test_back_from_the_checkout_leads_to_the_plans(here: World, browse: Browse) -> None:
    page = browse().page
    at_checkout(here, page)
    page.get_by_role("link", name="Back").click()
    expect(page).to_have_url(f"{here.base}/pricing")


@both_ways
def test_going_back_after_the_reveal_shows_no_key(here: World, browse: Browse, javascript: bool) -> None:
    page = browse(java_script_enabled=javascript).page
    bought(here, page)
    key = hands.reveal(page)
    page.go_back()
    expect(page.get_by_role("heading", name="Your API key was shown already")).to_be_visible()
    assert key not in page.content()
    page.evaluate("() => void setTimeout(() => history.forward())")
    page.wait_for_timeout(500)
    assert key not in page.content()


def pending(here: World, page: Page) -> None:
    """Paid, but Stripe neither responds nor has sent a webhook."""
    at_checkout(here, page)
    here.deliveries(hold=True)
    here.fail(next=2, status=500, path="/v1/checkout/sessions/")  # the call, and the SDK's second try
    hands.pay(page)
    expect(page.get_by_role("heading", name="Your payment is being confirmed")).to_be_visible()
    expect(page.get_by_text("You were not charged")).to_have_count(0)


def test_a_page_that_waits_turns_to_paid_by_itself(here: World, browse: Browse) -> None:
    page = browse().page
    pending(here, page)
    expect(page.get_by_role("button", name="Reveal my API key")).to_be_visible()


def test_a_page_that_waits_without_javascript_has_a_link_to_look_again(here: World, browse: Browse) -> None:
    page = browse(java_script_enabled=False).page
    pending(here, page)
    page.get_by_role("link", name="Check again").click()
    expect(page.get_by_role("button", name="Reveal my API key")).to_be_visible()


def test_two_parallel_posts_of_one_form_make_one_order(here: World, browse: Browse, alice: Person) -> None:
    page = browse(cookies=cookies(here, alice)).page
    page.goto(f"{here.base}/pricing")
    page.get_by_role("button", name="Choose Pro").evaluate(
        """async (button) => {
            const send = () => fetch(button.form.action,
                {method: "POST", body: new FormData(button.form), redirect: "manual"});
            await Promise.all([send(), send()]);
        }"""
    )
    with here.app.app_context():
        order = db.session.execute(select(Order)).scalar_one()
        db.session.remove()
    sessions = here.stripe().v1.checkout.sessions.list({"status": "open"}).data
    mine = [one.id for one in sessions if one.metadata.to_dict().get("purchase") == order.number]
    assert mine == [order.session_id]


def test_an_impatient_double_click_sends_one_form(here: World, browse: Browse, alice: Person) -> None:
    page = browse(cookies=cookies(here, alice)).page
    page.goto(f"{here.base}/pricing")
    sent: list[str] = []
    page.on("request", lambda request: request.method == "POST" and sent.append(request.url))
    page.get_by_role("button", name="Choose Pro").dblclick()
    expect(page).to_have_url(re.compile("/c/pay/"))
    assert len(sent) == 1
