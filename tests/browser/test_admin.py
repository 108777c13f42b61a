"""Test billing in a browser: each kind of purchase with each card, its chain, and nothing live touched."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Browse
from tests.browser.desk import Desk, desk
from tests.conftest import Person
from tests.support import looking
from tests.support.world import World

# By the card: where the order stands, what it brought, and an event of its chain.
Outcome = tuple[str, str, str]
PURCHASES: dict[str, dict[str, Outcome]] = {
    "credits:basic": {
        "success": ("Paid", "Credits bought", "payment_intent.succeeded"),
        "decline": ("Failed", "reason card_declined", "payment_intent.payment_failed"),
        "requires_auth": ("Failed", "reason authentication_required", "payment_intent.payment_failed"),
        "fails_later": ("Failed", "reason card_declined", "payment_intent.payment_failed"),
    },
    "plan:pro-monthly": {
        "decline": ("Failed", "reason card_declined", "customer.subscription.created"),
        "requires_auth": ("Open", "status incomplete", "invoice.payment_action_required"),
        "success": ("Paid", "Subscription activated", "invoice.paid"),
        "fails_later": ("Paid", "Subscription activated", "invoice.paid"),
    },
    "usage:usage": {
        "decline": ("Failed", "reason card_declined", "no event comes"),
        "requires_auth": ("Paid", "Usage started", "customer.subscription.created"),
        "success": ("Paid", "Usage started", "customer.subscription.created"),
        "fails_later": ("Paid", "Usage started", "customer.subscription.created"),
    },
}


@pytest.fixture
def at(here: World, browse: Browse, ada: Person) -> Desk:
    """Ada at her desk."""
    return desk(here, browse, ada)


@pytest.mark.parametrize("item", PURCHASES)
def test_each_card_does_to_each_purchase_what_it_says(here: World, at: Desk, bob: Person, item: str) -> None:
    here.flush()  # what Bob's own purchase brought about in turn
    before = looking.live(here)
    for card, (state, change, event) in PURCHASES[item].items():
        start_over(at, bob)
        at.buy(bob, item, card)
        at.hear()
        expect(at.page.locator("main")).to_contain_text(event)
        expect(at.fact("Order")).to_contain_text(state)
        expect(at.chain).to_contain_text(change)
        expect(at.fact("Access in test mode")).to_have_text("Pro Active" if event == "invoice.paid" else "Free")
        links = at.page.locator('a[href*="/dashboard/test/"]')
        assert links.count() > 0 or event == "no event comes"
    assert looking.live(here) == before


def start_over(at: Desk, user: Person) -> None:
    """Reset the user's test data, if there is any."""
    at.open(f"/admin/test-billing/{user.user_id}")
    if at.page.get_by_role("button", name="Reset test data").count():
        at.press("Reset test data")
        expect(at.page.get_by_text("The test data is reset.")).to_be_visible()


def test_without_a_script_check_again_shows_the_chain(
    here: World, browse: Browse, ada: Person, bob: Person
) -> None:
    at = desk(here, browse, ada, script=False)
    at.buy(bob, "credits:basic")
    expect(at.page.get_by_text("No event came yet.")).to_be_visible()
    at.hear()
    expect(at.chain).to_contain_text("payment_intent.succeeded Processed")
    expect(at.fact("Credits, purchase")).to_have_text("+5,500, balance 5,500")
    at.press("Refund")
    expect(at.page.get_by_text("The refund is ordered")).to_be_visible()
    at.hear()
    expect(at.fact("Credits, refund")).to_have_text("−5,500, balance 0")
    expect(at.chain).to_contain_text("Credits taken back")
    expect(at.page.get_by_role("button", name="Refund")).to_have_count(0)


def test_a_payment_that_needs_authentication_is_confirmed_on_stripe_s_page(
    here: World, at: Desk, bob: Person
) -> None:
    at.buy(bob, "plan:pro-monthly", "requires_auth")
    at.hear()
    expect(at.fact("Subscription")).to_have_text("Pro Waiting for payment")
    chain = at.page.url
    at.page.get_by_role("link", name="Pay or confirm").click()
    at.press("Confirm payment")
    at.press("Complete")
    expect(at.page.locator("main")).to_contain_text("paid")
    at.page.goto(chain)
    at.hear()
    expect(at.fact("Order")).to_contain_text("Paid")
    expect(at.fact("Subscription")).to_have_text("Pro Active")
    expect(at.chain).to_contain_text("invoice.paid Processed")
