"""What admins do about events and customers, in a browser: rehearse, replay, give back, and act on accounts."""

import re
from datetime import timedelta

import pytest
from playwright.sync_api import expect
from sqlalchemy import select, update

from portal import clock
from portal.extensions import db
from portal.models import Price, RefundRequest, StripeCustomer, Subscription, UserSession
from tests.browser.conftest import Browse
from tests.browser.desk import Desk, desk
from tests.conftest import PASSWORD, Person
from tests.support import events, looking
from tests.support.world import World


@pytest.fixture
def at(here: World, browse: Browse, ada: Person) -> Desk:
    """Ada at her desk."""
    return desk(here, browse, ada)


def everything(here: World) -> events.Photograph:
    """Every row, without the times at which somebody was last seen."""
    with here.app.app_context():
        return events.photograph() | {"user_sessions": []}


def write(here: World, statement: object) -> None:
    with here.app.app_context():
        db.session.execute(statement)
        db.session.commit()
        db.session.remove()


def test_a_dry_run_shows_the_difference_and_a_replay_makes_it(here: World, at: Desk, bob: Person) -> None:
    here.flush()
    write(here, update(Subscription).values(status="past_due", tier="starter"))
    at.open("/admin/events?type=customer.subscription.created&mode=live")
    at.page.locator("tbody a").first.click()
    expect(at.page.get_by_role("heading", level=1)).to_have_text("customer.subscription.created")
    before = everything(here)
    at.press("Dry run")
    rehearsed = at.page.locator("#dry-run")
    expect(rehearsed).to_contain_text("Dry run: it would be processed")
    expect(rehearsed).to_contain_text("status past_due →is now active")
    expect(rehearsed).to_contain_text("Nothing was changed.")
    assert everything(here) == before
    at.press("Replay")
    expect(at.page.get_by_text("Replayed: the event is processed.")).to_be_visible()
    expect(at.chain).to_contain_text("Subscription activated")
    expect(at.chain).to_contain_text("tier starter →is now pro")
    at.press("Dry run")
    expect(rehearsed).to_contain_text("Nothing would change")


def test_a_parked_event_is_ours_once_its_customer_is(here: World, at: Desk, bob: Person) -> None:
    stripe = here.stripe().v1
    stranger = stripe.customers.create({"email": "stranger@example.com"})
    items = [{"price": looking.one(here, select(Price.live_price_id).filter_by(key="starter-monthly"))}]
    made = stripe.subscriptions.create({"customer": stranger.id, "items": items, "trial_period_days": 7})
    here.flush()
    at.open(f"/admin/events?about={made.id}&type=customer.subscription.created")
    at.page.locator("tbody a").first.click()
    expect(at.fact("State")).to_have_text("Parked")
    expect(at.page.locator("main")).to_contain_text("is no customer of ours")
    at.press("Replay")
    expect(at.page.get_by_text("Replayed: the event is parked.")).to_be_visible()
    write(here, update(StripeCustomer).where(StripeCustomer.mode == "live").values(stripe_id=stranger.id))
    at.press("Replay")
    expect(at.page.get_by_text("Replayed: the event is processed.")).to_be_visible()
    expect(at.fact("State")).to_have_text("Processed")
    expect(at.fact("Customer")).to_have_text(bob.email)
    expect(at.chain).to_contain_text("Subscription activated")


def test_a_refund_asks_for_the_password_and_is_made_once(here: World, at: Desk, bob: Person) -> None:
    here.flush()
    write(here, update(UserSession).values(confirmed_at=clock.now() - timedelta(days=1)))
    at.open(f"/admin/customers/{bob.user_id}")
    expect(at.page.get_by_role("button", name="Give credits")).to_have_count(0)
    at.page.get_by_role("link", name=re.compile("^Refund")).click()
    at.page.get_by_label("Password").fill(PASSWORD)
    at.press("Continue")
    expect(at.page.get_by_role("heading", level=1)).to_have_text("Refund a payment")
    at.page.get_by_label("Amount in USD").fill("9.99")
    at.give_reason("Refund")
    at.page.get_by_role("button", name="Refund").dblclick()
    expect(at.page.get_by_text("$9.99 go back.")).to_be_visible()
    assert looking.one(here, select(RefundRequest.amount)) == 999
    at.page.go_back()
    expect(at.fact("Refunded so far")).to_have_text("$9.99")
    here.flush()
    at.open(f"/admin/customers/{bob.user_id}")
    expect(at.page.get_by_text("Partly refunded")).to_be_visible()


def test_an_account_is_acted_upon_from_its_page(here: World, at: Desk, bob: Person) -> None:
    key = bob.browser.reveal()
    soon = f"{clock.now() + timedelta(days=30):%Y-%m-%d}"
    past = {"status": "past_due", "past_due_since": clock.now() - timedelta(days=20)}
    here.flush()
    write(here, update(Subscription).values(past))
    at.open(f"/admin/customers/{bob.user_id}")
    expect(at.fact("Access")).to_have_text("Free")
    at.page.get_by_label("Stays until").fill(soon)
    at.give_reason("Extend grace")
    at.press("Extend grace")
    expect(at.fact("Access")).to_have_text("Pro Payment failed")
    expect(at.page.locator("main")).to_contain_text("an admin gave longer")
    at.page.get_by_label("Credits", exact=True).fill("500")
    at.page.get_by_label("Good until").fill(soon)
    at.page.get_by_label("Note").fill("Sorry")
    at.give_reason("Give credits")
    at.press("Give credits")
    expect(at.page.get_by_text("500 credits were given.")).to_be_visible()
    expect(at.fact("Credits")).to_have_text("500")
    at.act("Suspend")
    expect(at.fact("Access")).to_contain_text("Suspended")
    assert bob.browser.receipt(key).status_code == 402
    at.act("Reactivate")
    expect(at.page.get_by_text("The customer's API keys answer again.")).to_be_visible()
    assert bob.browser.receipt(key).json()["credits"] == 500
    at.act("Revoke")
    expect(at.page.get_by_text("is revoked.")).to_be_visible()
    assert bob.browser.receipt(key).status_code == 401
    at.page.get_by_role("button", name=re.compile("^Resync")).click()
    expect(at.fact("Access")).to_have_text("Pro Active")
