"""The scheduled task that compares the stalest copies with Stripe."""

import threading
from collections.abc import Callable

import pytest
from sqlalchemy import insert, select, update

from portal import clock
from portal.billing.lifecycle import stale_copies
from portal.customers import stripe_customers
from portal.extensions import db
from portal.gateway.calls import Calls
from portal.models import Invoice, Order, StripeCustomer, Subscription
from tests.billing.test_lost_webhooks import cancelled, deleted, lost, opened
from tests.billing.test_plan_change import at_stripe
from tests.conftest import Person
from tests.support.looking import one, tier
from tests.support.world import World


def stale(here: World) -> None:
    """The copies were compared with Stripe longer ago than a day."""
    with here.app.app_context():
        long_ago = clock.now() - stale_copies.STALE_AFTER * 2
        for model in (Subscription, Invoice):
            db.session.execute(update(model).values(synced_at=long_ago))
        db.session.execute(
            update(Order).where(Order.session_expires_at.is_not(None)).values(session_expires_at=clock.now())
        )
        db.session.commit()


def sampled(here: World) -> int:
    with here.app.app_context():
        return stale_copies.run()


@pytest.mark.parametrize("happened", [cancelled, deleted])
def test_the_tick_finds_what_has_ended(here: World, bob: Person, happened: Callable[[World], None]) -> None:
    happened(here)
    assert sampled(here) == 0
    assert tier(here) == "pro"
    stale(here)
    assert sampled(here) == 1
    assert tier(here) == "free"
    assert sampled(here) == 0
    with here.app.app_context():
        gone = db.session.execute(select(StripeCustomer.deleted_at)).scalar_one()
    assert (gone is not None) is (happened is deleted)


def test_the_tick_finds_an_order_that_was_paid(here: World, alice: Person) -> None:
    """Its webhook was lost, and the buyer never came back."""
    alice.browser.choose("pro-monthly")
    alice.browser.pay(follow=False)
    lost(here)
    assert sampled(here) == 0
    stale(here)
    assert sampled(here) == 1
    assert tier(here) == "pro"
    assert one(here, select(Order.state)) == "paid"


def test_the_tick_finds_an_invoice_that_was_paid(here: World, bob: Person) -> None:
    with here.app.app_context():
        db.session.execute(update(Invoice).values(status="open"))
        db.session.commit()
    stale(here)
    assert sampled(here) == 2
    assert one(here, select(Invoice.status)) == "paid"


def test_a_deleted_customer_s_plan_is_looked_at_first(here: World, bob: Person) -> None:
    """Who deletes a customer ends its subscriptions, so the next tick asks about them."""
    name = str(at_stripe(here).customer)
    deleted(here)
    with here.app.app_context():
        stripe_customers.sync("live", name)
    assert sampled(here) == 1
    assert tier(here) == "free"


def test_what_stripe_does_not_know_is_left_and_asked_about_a_day_later(here: World, bob: Person) -> None:
    """With the key of another account, nobody is to lose a plan."""
    with here.app.app_context():
        db.session.execute(update(Subscription).values(stripe_id="sub_of_another_account"))
        db.session.commit()
    stale(here)
    assert sampled(here) == 1
    assert (tier(here), sampled(here)) == ("pro", 0)


def test_the_tick_keeps_to_its_budget(here: World, bob: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    with here.app.app_context():
        row = db.session.execute(select(Subscription.__table__)).mappings().one()
        for number in range(stale_copies.CALLS):
            copy = {name: value for name, value in row.items() if name != "id"}
            db.session.execute(insert(Subscription).values(copy | {"stripe_id": f"sub_copy{number}"}))
        db.session.commit()
    stale(here)
    asked: list[int] = []  # by thread: a late webhook is handled in another
    ask = Calls._ask
    monkeypatch.setattr(
        Calls, "_ask", lambda lane, *given: (asked.append(threading.get_ident()), ask(lane, *given))[1]
    )
    done = sampled(here)
    assert 1 < done <= stale_copies.CALLS
    assert asked.count(threading.get_ident()) <= stale_copies.CALLS


def test_the_tick_stops_where_stripe_does_not_answer(here: World, bob: Person) -> None:
    stale(here)
    here.fail(next=100, status=500)
    assert sampled(here) == 0
    here.calm()
    assert sampled(here) == 1


def test_the_customer_of_before_is_never_used_again(here: World, bob: Person) -> None:
    actor = opened(here, bob, "credits")
    before = str(at_stripe(here).customer)
    deleted(here)
    assert actor.credits().status_code == 303
    with here.app.app_context():
        names = db.session.execute(select(StripeCustomer).order_by(StripeCustomer.id)).scalars().all()
        assert [(name.stripe_id == before, name.is_current, name.deleted_at is None) for name in names] == [
            (True, False, False),
            (False, True, True),
        ]
    stale(here)
    assert sampled(here) == 2  # the plan, and the order of credits
    assert tier(here) == "free"
