"""Somebody signs up with another person's address: what each of the two sees, and whom each key answers for."""

import pyotp
import pytest
from playwright.sync_api import expect

from portal import clock
from tests.browser import hands
from tests.browser.conftest import Browse
from tests.browser.walk import NEW, Walker, is_dead, standing
from tests.conftest import PASSWORD
from tests.support import mailbox
from tests.support.world import World

pytestmark = pytest.mark.long

VERA = "vera@example.com"


@pytest.fixture
def attacker(here: World, browse: Browse) -> Walker:
    """Mallory, who has an account with Vera's address, and a key."""
    walker = Walker(here, browse().page)
    walker.sign_up(VERA)
    return walker


@pytest.fixture
def vera(here: World, browse: Browse) -> Walker:
    """Vera, who owns the address."""
    return Walker(here, browse().page)


def sees_nothing(attacker: Walker, vera_s_key: str, success: str) -> None:
    """Check that no page shows the attacker what Vera bought."""
    for path in ("/account", "/billing", "/keys", "/history", "/account/purchases", "/billing/change", success):
        attacker.open(path)
        attacker.sees_nothing_of(vera_s_key, vera_s_key[:17], "4242", "Renews on", "Reveal my API key", "INV")
    attacker.open("/account")
    attacker.sees("Confirm your email: purchases made with it are added then.")
    attacker.sees_nothing_of("purchases to review")
    attacker.open("/billing")
    attacker.sees("Free")
    expect(attacker.page.get_by_role("button", name="Manage payment method")).to_have_count(0)


def test_a_purchase_by_link_never_reaches_who_signed_up_with_the_address_first(
    here: World, attacker: Walker, vera: Walker
) -> None:
    theirs = attacker.create_key("Mallory")
    success = vera.buy_by_link(VERA)
    hers = hands.reveal(vera.page)
    here.flush()
    sees_nothing(attacker, hers, success)
    (their_customer, their_tier), (her_customer, her_tier) = standing(here, theirs), standing(here, hers)
    assert (their_tier, her_tier) == ("free", "pro")
    assert their_customer != her_customer

    vera.mailed(VERA, "/claim/")
    vera.sees(f"Enter the password of the account {VERA}.")
    vera.page.get_by_role("link", name="I don't know this password").click()
    vera.heading("Choose a new password")
    vera.answer("Pro, $49.99 a month, card ending in 4242", "Mine")
    vera.answer(f"API key {hers[:17]}…", "Keep")
    vera.page.get_by_label("New password").fill(NEW)
    vera.press("Save password")
    expect(vera.page.get_by_role("alert")).to_contain_text(f"Choose Keep or End: API key {theirs[:17]}…")
    assert not is_dead(here, theirs)
    vera.answer(f"API key {theirs[:17]}…", "End")
    vera.set_password("Save password")
    vera.sees(
        f"Ended: every earlier sign-in, the API key {theirs[:17]}….", f"These keys keep working: {hers[:17]}…"
    )

    assert is_dead(here, theirs)
    assert standing(here, hers)[1] == "pro"
    vera.open("/billing")
    vera.sees("Pro", "Renews on", "4242")
    vera.open("/keys")
    vera.sees(hers[:17])
    attacker.is_signed_out()
    attacker.is_not_let_in(VERA)


def test_a_cheap_link_with_somebody_s_address_opens_nothing_of_theirs(
    here: World, browse: Browse, vera: Walker
) -> None:
    """The attacker has paid and revealed: that key answers for its own purchase, before the claim and after it."""
    attacker = Walker(here, browse().page)
    attacker.buy_by_link(VERA, "starter")
    cheap = hands.reveal(attacker.page)
    vera.buy_by_link(VERA)
    hers = hands.reveal(vera.page)
    here.flush()
    before = {key: standing(here, key) for key in (cheap, hers)}
    assert [tier for _, tier in before.values()] == ["starter", "pro"]
    assert before[cheap][0] != before[hers][0]

    vera.mailed(VERA, "/claim/")
    expect(vera.page.get_by_role("radio", checked=True)).to_have_count(0)
    vera.answer("Starter, $19.99 a month", "Not mine")
    expect(vera.question(f"API key {cheap[:17]}…")).to_be_hidden()
    vera.answer("Pro, $49.99 a month", "Mine")
    vera.answer(f"API key {hers[:17]}…", "Keep")
    vera.set_password("Claim account")
    vera.open("/billing")
    vera.sees("Pro")
    vera.sees_nothing_of("Starter, $19.99")
    vera.open("/keys")
    vera.sees(hers[:17])
    vera.sees_nothing_of(cheap[:17])
    assert standing(here, cheap) == before[cheap]
    assert standing(here, hers)[1] == "pro"
    assert standing(here, hers)[0] != before[cheap][0]


def set_up_second_factor(attacker: Walker) -> None:
    attacker.open("/account/second-factor")
    attacker.press("Set up")
    app = pyotp.TOTP(attacker.page.locator(".copyable").inner_text())
    attacker.page.get_by_label("Code").fill(app.at(clock.now()))
    attacker.press("Turn on")
    attacker.heading("Your recovery codes")


def test_a_reset_puts_out_all_that_was_set_up_before_the_address_was_proven(
    here: World, attacker: Walker, vera: Walker
) -> None:
    theirs = attacker.create_key("Mallory")
    set_up_second_factor(attacker)
    vera.forgot(VERA)
    vera.sees("turns off two-factor authentication", "API keys of this account")
    vera.answer(f"API key {theirs[:17]}…", "End")
    vera.set_password("Save password")  # and nobody's code is asked for
    vera.sees(f"Ended: every earlier sign-in, the API key {theirs[:17]}…, two-factor authentication.")
    assert is_dead(here, theirs)
    attacker.is_signed_out()
    attacker.is_not_let_in(VERA)
    vera.open("/account")
    vera.sees("Verified")
    told = "\n".join(mailbox.text(one) for one in mailbox.letters(here, VERA))
    assert f"API key {theirs[:17]}…" in told


def test_a_link_that_the_attacker_caused_verifies_nothing_by_being_opened(
    here: World, attacker: Walker, vera: Walker
) -> None:
    link = mailbox.links(here, VERA, "/verify/")[-1]
    vera.open(link)
    vera.sees(f"Enter the password of the account {VERA}.")
    vera.page.get_by_label("Password").fill(NEW)
    vera.press("Verify email")
    expect(vera.page.get_by_role("alert")).to_contain_text("This is not your password.")
    attacker.open("/account")
    attacker.sees("Not verified")
    theirs = attacker.create_key("Mallory")
    vera.page.get_by_role("link", name="I don't know this password").click()
    vera.answer(f"API key {theirs[:17]}…", "End")
    vera.set_password("Save password")
    attacker.is_signed_out()
    attacker.is_not_let_in(VERA, PASSWORD)
    assert is_dead(here, theirs)


def test_an_address_that_the_attacker_corrected_away_is_free_and_its_link_dead(
    here: World, attacker: Walker, vera: Walker
) -> None:
    theirs = attacker.create_key("Mallory")
    old = mailbox.links(here, VERA, "/verify/")[-1]
    attacker.open("/account")
    attacker.page.get_by_role("link", name="Wrong address?").click()
    attacker.page.get_by_label("Email").fill("mallory@example.com")
    attacker.press("Send the link")
    attacker.mailed("mallory@example.com", "/account/email/confirm/")
    attacker.press("Confirm this address")
    attacker.heading("Account")
    vera.open(old)
    vera.heading("This link no longer works")
    hers = vera.buy(VERA)
    assert standing(here, theirs)[1] == "free"
    assert standing(here, hers)[1] == "pro"
    assert standing(here, theirs)[0] != standing(here, hers)[0]


def test_a_proven_account_cannot_be_given_somebody_s_address_by_their_click(
    here: World, browse: Browse, vera: Walker
) -> None:
    """The link to a new address asks for the account too: its session, or its password."""
    attacker = Walker(here, browse().page)
    attacker.sign_up("mallory@example.com")
    attacker.mailed("mallory@example.com", "/verify/")
    attacker.press("Verify email")
    attacker.open("/account/email")
    attacker.page.get_by_label("Email").fill(VERA)
    attacker.press("Send the links")
    attacker.mailed("mallory@example.com", "/account/email/approve/")
    attacker.press("Yes, change it")
    vera.mailed(VERA, "/account/email/confirm/")
    vera.page.get_by_label("Password").fill(NEW)
    vera.press("Confirm this address")
    expect(vera.page.get_by_role("alert")).to_contain_text("This is not your password.")
    vera.buy_by_link(VERA)
    hers = hands.reveal(vera.page)
    attacker.open("/account")
    attacker.sees("mallory@example.com")
    attacker.sees_nothing_of(VERA, "purchases to review")
    attacker.open("/billing")
    attacker.sees("Free")
    vera.mailed(VERA, "/claim/")
    vera.set_password("Claim account")
    assert standing(here, hers)[1] == "pro"
