"""Time travel in a browser: what months bring to a test subscription, on its chain at the press of a button."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Browse
from tests.browser.desk import Desk, desk
from tests.conftest import Person
from tests.support import looking
from tests.support.world import World


@pytest.fixture
def at(here: World, browse: Browse, ada: Person) -> Desk:
    """Ada at her desk."""
    return desk(here, browse, ada)


def test_a_trial_ends_the_plan_renews_and_a_scheduled_end_is_reached(here: World, at: Desk, bob: Person) -> None:
    here.flush()  # what Bob's own purchase brought about in turn
    before = looking.live(here)
    at.buy(bob, "plan:pro-monthly", trial="14")
    at.hear()
    expect(at.fact("Subscription")).to_have_text("Pro Trial")
    expect(at.fact("Period")).to_contain_text("Trial until")
    at.travel("To the end of the trial")
    expect(at.fact("Subscription")).to_have_text("Pro Active")
    expect(at.page.get_by_role("button", name="To the end of the trial")).to_have_count(0)
    first = at.fact("Period").inner_text()
    at.travel("Next renewal")
    expect(at.chain).to_contain_text("Subscription renewed")
    expect(at.page.locator("li", has_text="Invoice in_").filter(has_text="Paid")).to_have_count(3)
    expect(at.fact("Period")).to_contain_text("Renews")
    assert at.fact("Period").inner_text() != first
    at.press("Cancel at period end")
    expect(at.page.get_by_text("The test subscription ends with its period.")).to_be_visible()
    expect(at.fact("Period")).to_contain_text("Ends")
    expect(at.page.get_by_role("button", name="Cancel at period end")).to_have_count(0)
    at.travel("Next renewal")
    expect(at.fact("Subscription")).to_have_text("Pro Canceled")
    expect(at.fact("Access in test mode")).to_have_text("Free")
    expect(at.chain).to_contain_text("customer.subscription.deleted Processed")
    assert looking.live(here) == before


def test_a_failed_renewal_goes_through_dunning_to_its_end(here: World, at: Desk, bob: Person) -> None:
    at.buy(bob, "plan:pro-monthly", "fails_later", trial="0")
    at.hear()
    at.travel("Next renewal")
    expect(at.fact("Subscription")).to_have_text("Pro Payment failed")
    expect(at.fact("Access in test mode")).to_have_text("Pro Payment failed")
    expect(at.chain).to_contain_text("Invoice not paid")
    expect(at.chain).to_contain_text("next try")
    expect(at.page.get_by_role("link", name="Pay or confirm")).to_be_visible()
    at.travel("+1 day", times=8)  # past the first retry, and out of grace
    expect(at.fact("Subscription")).to_have_text("Pro Payment failed")
    expect(at.fact("Access in test mode")).to_have_text("Free")
    at.travel("+1 month")
    expect(at.fact("Subscription")).to_have_text("Pro Canceled")
    expect(at.chain).to_contain_text("Subscription ended")
    expect(at.page.get_by_role("link", name="Pay or confirm")).to_have_count(0)
    at.open(f"/admin/customers/{bob.user_id}")
    expect(at.page.locator(".test-side")).to_contain_text("Denies Pro is canceled: it ended on")


def test_a_test_plan_is_cancelled_now(here: World, at: Desk, bob: Person) -> None:
    at.buy(bob, "plan:pro-monthly", trial="0")
    at.hear()
    at.press("Cancel now")
    expect(at.page.get_by_text("The test subscription has ended.")).to_be_visible()
    at.hear()
    expect(at.fact("Subscription")).to_have_text("Pro Canceled")
    expect(at.fact("Access in test mode")).to_have_text("Free")
    expect(at.chain).to_contain_text("customer.subscription.deleted")
