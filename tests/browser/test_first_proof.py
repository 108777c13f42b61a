"""The first proof of an address, by those who bought: their keys work before it and after it."""

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser import hands
from tests.browser.conftest import Browse
from tests.browser.walk import NEW, Walker, is_dead, standing
from tests.conftest import PASSWORD
from tests.support import mailbox
from tests.support.world import World

pytestmark = pytest.mark.long

DORA = "dora@example.com"
Walk = Callable[..., Walker]


@pytest.fixture
def walk(here: World, browse: Browse) -> Walk:
    """Opens a browser for somebody."""
    return lambda **options: Walker(here, browse(**options).page)


@pytest.mark.parametrize("javascript", [True, False], ids=["with JavaScript", "without"])
def test_a_buyer_verifies_in_the_same_browser_and_the_key_goes_on(
    here: World, walk: Walk, javascript: bool
) -> None:
    dora = walk(java_script_enabled=javascript)
    key = dora.buy(DORA)
    before = standing(here, key)
    assert before[1] == "pro"
    dora.open("/account")
    dora.sees("Confirm your email: purchases made with it are added then.", "Not verified")
    dora.mailed(DORA, "/verify/")
    expect(dora.page.get_by_label("Password")).to_have_count(0)
    dora.press("Verify email")
    dora.heading("Account")
    dora.sees("Your email address is verified.", "Verified")
    assert standing(here, key) == before
    dora.open("/billing")
    dora.sees("Pro", "Renews on")


def test_a_buyer_verifies_on_the_phone_beside_the_laptop(here: World, walk: Walk) -> None:
    laptop, phone = walk(), walk(viewport={"width": 390, "height": 844})
    key = laptop.buy(DORA)
    before = standing(here, key)
    phone.mailed(DORA, "/verify/")
    phone.page.get_by_label("Password").fill("not this one")
    phone.press("Verify email")
    expect(phone.page.get_by_role("alert")).to_contain_text("This is not your password.")
    phone.page.get_by_label("Password").fill(PASSWORD)
    phone.press("Verify email")
    phone.heading("Account")
    phone.sees("Your email address is verified.")
    laptop.open("/account")
    laptop.heading("Account")
    laptop.sees("Verified")
    assert standing(here, key) == before


def test_a_buyer_by_payment_link_claims_the_account_on_another_machine(here: World, walk: Walk) -> None:
    shop, phone = walk(), walk()
    success = shop.buy_by_link("eve@example.com")
    key = hands.reveal(shop.page)
    before = standing(here, key)
    assert before[1] == "pro"
    phone.mailed("eve@example.com", "/claim/")
    phone.heading("Claim your account")
    phone.sees("Pro, $49.99 a month, card ending in 4242", f"API key {key[:17]}… keeps working.")
    assert standing(here, key) == before  # a GET proves nothing
    phone.set_password("Claim account")
    assert standing(here, key) == before
    phone.open("/billing")
    phone.sees("Pro", "Renews on", "4242")
    phone.open("/keys")
    phone.sees(key[:17])
    shop.open(success)
    shop.sees_nothing_of("Reveal my API key", key)
    shop.sign_in("eve@example.com", NEW)
    shop.open("/billing")
    shop.sees("Renews on")


def test_a_claim_ends_the_reveal_in_the_browser_that_paid(here: World, walk: Walk) -> None:
    shop, phone = walk(), walk()
    success = shop.buy_by_link("eve@example.com")
    phone.mailed("eve@example.com", "/claim/")
    phone.set_password("Claim account")
    shop.press("Reveal my API key")  # the page was open all the while
    shop.sees_nothing_of("key_live_")
    shop.open(success)
    shop.sees("Sign in")
    phone.open(success)
    assert standing(here, hands.reveal(phone.page))[1] == "pro"


def test_a_buyer_who_forgot_the_password_sets_another_and_keeps_the_key(here: World, walk: Walk) -> None:
    """The address is not proven yet: the key is asked about, and works on."""
    laptop, phone = walk(), walk()
    key = laptop.buy(DORA)
    before = standing(here, key)
    phone.forgot(DORA)
    phone.page.get_by_label("New password").fill(NEW)
    phone.press("Save password")
    expect(phone.page.get_by_role("alert")).to_contain_text("Choose Keep or End")
    phone.answer(f"API key {key[:17]}…", "Keep")
    phone.set_password("Save password")
    phone.sees("Ended: every earlier sign-in.")
    assert standing(here, key) == before
    phone.open("/billing")
    phone.sees("Pro", "Renews on")
    laptop.is_signed_out()
    laptop.is_not_let_in(DORA)
    laptop.sign_in(DORA, NEW)
    laptop.heading("Account")


def test_a_reset_on_a_proven_account_asks_about_no_key(here: World, walk: Walk) -> None:
    laptop, phone = walk(), walk()
    key = laptop.buy(DORA)
    before = standing(here, key)
    laptop.mailed(DORA, "/verify/")
    laptop.press("Verify email")
    laptop.heading("Account")
    phone.forgot(DORA)
    expect(phone.page.get_by_role("radio")).to_have_count(0)
    phone.set_password("Save password")
    assert standing(here, key) == before
    laptop.is_signed_out()


def test_a_mistyped_address_is_corrected_and_the_link_to_the_old_one_is_dead(here: World, walk: Walk) -> None:
    """The stranger who got the first link can do nothing with it, nor with a reset."""
    dora, stranger = walk(), walk()
    key = dora.buy("dara@example.com")
    before = standing(here, key)
    old = mailbox.links(here, "dara@example.com", "/verify/")[-1]
    stranger.open(old)
    stranger.sees("Enter the password of the account dara@example.com.")
    dora.open("/account")
    dora.page.get_by_role("link", name="Wrong address?").click()
    dora.page.get_by_label("Email").fill(DORA)
    dora.press("Send the link")
    dora.sees("We emailed a link to the new address.")
    dora.mailed(DORA, "/account/email/confirm/")
    dora.press("Confirm this address")
    dora.heading("Account")
    dora.sees("Your email address is changed.", DORA, "Verified")
    for link in (old, f"{old}?anew=1"):
        stranger.open(link)
        stranger.heading("This link no longer works")
    stranger.open("/password/forgot")
    stranger.page.get_by_label("Email").fill("dara@example.com")
    stranger.press("Send the link")
    stranger.heading("Check your email")
    assert mailbox.links(here, "dara@example.com", "/password/reset/") == []
    assert not is_dead(here, key)
    assert standing(here, key) == before
