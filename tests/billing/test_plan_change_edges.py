"""Edge cases of changes: unusual cycles, several subscriptions, earlier schedules, and lost responses."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update

from portal import clock
from portal.billing.plan_change import plan_changes
from portal.extensions import db
from portal.models import Subscription
from tests.billing.test_plan_change import at_stripe, confirm, price_id, save_card, starter
from tests.conftest import Person
from tests.support.clocked import on_a_clock
from tests.support.looking import one, tier
from tests.support.world import World


def sold_every(here: World, interval: str, count: int, amount: int) -> str:
    """Create a price of Starter in a cycle that is not in the catalogue, and return its id."""
    cycle: Any = {"interval": interval, "interval_count": count}
    made = here.stripe().v1.prices.create(
        {
            "currency": "usd",
            "unit_amount": amount,
            "recurring": cycle,
            "product_data": {"name": "Starter"},
            "metadata": {"tier": "starter"},
        }
    )
    return made.id


def moved_to(here: World, price: str) -> None:
    item = at_stripe(here)["items"].data[0].id
    here.stripe().v1.subscriptions.update(at_stripe(here).id, {"items": [{"id": item, "price": price}]})
    here.flush()


@pytest.mark.parametrize(("interval", "count"), [("week", 1), ("day", 10), ("month", 3), ("year", 2)])
def test_a_plan_in_an_odd_cycle_can_be_changed_too(here: World, interval: str, count: int) -> None:
    bob = starter(here)
    moved_to(here, sold_every(here, interval, count, 700))
    assert bob.browser.open("/billing/change").status_code == 200
    bob.browser.open("/billing/change?price=pro-monthly")
    assert "Starts Now" in bob.browser.text
    bob.browser.press("Confirm change")
    assert tier(here) == "pro"


@pytest.mark.parametrize("cycle", [("month", 3), ("year", 1)])
def test_to_a_shorter_cycle_the_next_payment_is_a_month_from_now(here: World, cycle: tuple[str, int]) -> None:
    bob = starter(here)
    moved_to(here, sold_every(here, *cycle, 5000))
    bob.browser.open("/billing/change?price=pro-monthly")
    shown = bob.browser.text
    bob.browser.press("Confirm change")
    ends = datetime.fromtimestamp(at_stripe(here)["items"].data[0].current_period_end, UTC)
    assert f"Next payment $49.98 on {ends.day} {ends:%B %Y}" in shown


def test_a_declined_upgrade_leaves_what_was_planned(here: World, bob: Person) -> None:
    confirm(bob, "starter-monthly")
    save_card(here, bob, "4000 0000 0000 0341")
    bob.browser.open("/billing/change?price=enterprise-monthly")
    assert "is dropped" in bob.browser.text
    assert bob.browser.press("Confirm change").status_code == 402
    here.flush()
    assert tier(here) == "pro"
    assert one(here, select(Subscription.next_tier)) == "starter"
    schedule = here.stripe().v1.subscription_schedules.retrieve(str(at_stripe(here).schedule))
    assert schedule.phases[1]["items"][0].price == price_id(here, "starter-monthly")
    bob.browser.open("/billing")
    assert "Next payment $19.99 on" in bob.browser.text


def test_what_is_planned_for_one_of_several_is_dropped_for_that_one(here: World, bob: Person) -> None:
    pro = at_stripe(here)
    item = {"price": price_id(here, "starter-yearly")}
    second = here.stripe().v1.subscriptions.create({"customer": str(pro.customer), "items": [item]})
    here.stripe().v1.subscription_schedules.create({"from_subscription": second.id})
    schedule = here.stripe().v1.subscriptions.retrieve(second.id).schedule
    runs = here.stripe().v1.subscription_schedules.retrieve(str(schedule)).phases[0]
    phases: Any = [
        {"items": [item], "start_date": runs.start_date, "end_date": runs.end_date},
        {"items": [{"price": price_id(here, "starter-monthly")}], "duration": {"interval": "month"}},
    ]
    here.stripe().v1.subscription_schedules.update(str(schedule), {"phases": phases})
    here.flush()
    bob.browser.open("/billing")
    assert "Your plan changes to Starter" in bob.browser.text
    bob.browser.press("Keep current plan")
    assert "Your plan stays as it is" in bob.browser.text
    assert here.stripe().v1.subscriptions.retrieve(second.id).schedule is None


def test_a_change_that_is_done_is_told_so_though_stripe_falls_silent_after_it(here: World) -> None:
    bob = starter(here)
    bob.browser.open("/billing/change?price=pro-monthly")
    here.fail(path="/v1/invoices/in_", next=100, status=500)
    assert bob.browser.press("Confirm change").status_code == 200
    assert "Your plan is now Pro" in bob.browser.text
    here.calm()


def test_a_plan_that_is_not_paid_is_cancelled_without_promises(here: World, bob: Person) -> None:
    """A renewal failed: what comes after the grace period is not paid, and so not kept."""
    with here.app.app_context():
        db.session.execute(update(Subscription).values(status="past_due", past_due_since=clock.now()))
        db.session.commit()
    bob.browser.open("/billing/cancel")
    assert "which is paid already" not in bob.browser.text
    assert "You keep everything until" not in bob.browser.text
    assert "is still to be paid" in bob.browser.text


@pytest.mark.parametrize(("key", "interval"), [("pro-yearly", "year"), ("enterprise-monthly", "month")])
def test_who_takes_some_minutes_to_decide_gets_what_was_shown(
    here: World, app: Flask, alice: Person, key: str, interval: str
) -> None:
    """A cycle that begins anew ends by the time of asking, so its end is no part of what was agreed to."""
    carol = on_a_clock(here, alice.user)
    carol.subscribe()
    shown = plan_changes.preview(carol.customer, key)
    carol.advance(minutes=10)
    outcome = plan_changes.confirm(carol.customer, key, shown.digest, shown.moment)
    assert (outcome.quote.due_today, outcome.subscription.interval) == (shown.due_today, interval)


def test_a_card_from_before_the_account_began_anew_pays_no_change(here: World) -> None:
    """Whoever made the account may have saved it; its owner saves one of their own first."""
    bob = starter(here)
    with here.app.app_context():
        bob.user.begun_anew_at = clock.now() + timedelta(seconds=1)  # Stripe counts whole seconds
        db.session.commit()
    bob.browser.open("/billing/change?price=pro-monthly")
    assert "Save a card" in bob.browser.text
    assert "Confirm change" not in bob.browser.text
    with here.app.app_context():
        bob.user.begun_anew_at = clock.now() - timedelta(hours=1)
        db.session.commit()
    bob.browser.open("/billing/change?price=pro-monthly")
    bob.browser.press("Confirm change")
    assert tier(here) == "pro"
