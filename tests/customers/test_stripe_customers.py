"""Customers at Stripe: one each, and never a deleted one again."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy import select

from portal.customers import email_sync, stripe_customers
from portal.extensions import db
from portal.models import StripeCustomer
from tests.conftest import Person
from tests.support import events
from tests.support.world import World

THREADS = 8


def names(here: World) -> list[tuple[str | None, bool]]:
    with here.app.app_context():
        query = select(StripeCustomer.stripe_id, StripeCustomer.is_current).order_by(StripeCustomer.id)
        return [tuple(row) for row in db.session.execute(query)]


def choose(alice: Person, price: str = "pro-monthly") -> int:
    return alice.browser.choose(price, follow=False).status_code


@pytest.mark.both_databases
def test_eight_requests_at_once_make_one_customer(here: World, alice: Person) -> None:
    mark, start = events.newest(here), Barrier(THREADS)

    def ask(_: int) -> str:
        with here.app.app_context():
            customer = stripe_customers.of(alice.user)
            db.session.commit()
            start.wait()
            return stripe_customers.at_stripe(customer)

    with ThreadPoolExecutor(THREADS) as pool:
        ids = set(pool.map(ask, range(THREADS)))
    assert len(ids) == 1
    assert names(here) == [(ids.pop(), True)]
    assert [event["type"] for event in events.since(here, mark)] == ["customer.created"]


def test_the_modes_have_customers_of_their_own(here: World, alice: Person) -> None:
    with here.app.app_context():
        made = {}
        for mode in ("live", "test"):
            customer = stripe_customers.of(alice.user, mode)
            db.session.commit()
            made[mode] = stripe_customers.at_stripe(customer)
            assert here.stripe(mode).v1.customers.retrieve(made[mode]).metadata["portal_mode"] == mode
    assert made["live"] != made["test"]


def test_a_deleted_customer_is_never_used_again(here: World, alice: Person) -> None:
    assert choose(alice) == 303
    ((gone, _),) = names(here)
    here.stripe().v1.customers.delete(gone)
    here.flush()
    assert names(here) == [(gone, False)]
    assert choose(alice, "starter-monthly") == 303
    (_, (new, is_current)) = names(here)
    assert (new != gone, is_current) == (True, True)
    session = here.stripe().v1.checkout.sessions.list({"customer": new}).data[0]
    assert session.status == "open"


def test_the_same_choice_after_the_customer_was_deleted_is_a_new_order(here: World, alice: Person) -> None:
    assert choose(alice) == 303
    ((gone, _),) = names(here)
    here.stripe().v1.customers.delete(gone)
    here.flush()
    alice.browser.buy("pro-monthly")
    assert "is yours" in alice.browser.text
    assert names(here)[-1][0] != gone


def test_a_deletion_that_no_webhook_told_is_found_out_by_the_next_purchase(here: World, alice: Person) -> None:
    assert choose(alice) == 303
    ((gone, _),) = names(here)
    here.stripe().v1.customers.delete(gone)
    answers = [choose(alice, "starter-monthly") for _ in range(2)]
    assert answers[-1] == 303
    assert names(here)[-1][0] != gone


def test_an_address_changed_at_stripe_is_known_here(here: World, bob: Person) -> None:
    ((stripe_id, _),) = names(here)
    here.stripe().v1.customers.update(stripe_id, {"email": "robert@example.com"})
    here.flush()
    with here.app.app_context():
        assert db.session.execute(select(StripeCustomer.email)).scalar_one() == "robert@example.com"


def test_an_address_changed_here_is_told_to_stripe_once_it_can_be(here: World, bob: Person) -> None:
    ((stripe_id, _),) = names(here)
    with here.app.app_context():
        bob.user.email = "robert@example.com"
        email_sync.mark_changed(bob.user)
        db.session.commit()
        here.fail(next=2, status=500)
        assert email_sync.tell() == 0
        assert [email_sync.tell(), email_sync.tell()] == [1, 0]
        assert db.session.execute(select(StripeCustomer.email)).scalar_one() == "robert@example.com"
    assert here.stripe().v1.customers.retrieve(str(stripe_id)).email == "robert@example.com"


def test_a_customer_that_is_gone_is_not_told_again_and_again(here: World, bob: Person) -> None:
    ((stripe_id, _),) = names(here)
    here.stripe().v1.customers.delete(str(stripe_id))
    with here.app.app_context():
        email_sync.mark_changed(bob.user)
        db.session.commit()
        assert email_sync.tell() == 0
        assert db.session.execute(select(StripeCustomer.new_email)).scalar_one() is None
    assert names(here) == [(stripe_id, False)]
