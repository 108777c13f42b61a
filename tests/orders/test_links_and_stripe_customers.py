"""A Payment Link's session with a Stripe customer of an account: if that is unproven, the address decides."""

import pytest
from sqlalchemy import select

from portal.billing import subscriptions
from portal.customers import access, owners, stripe_customers
from portal.extensions import db
from portal.models import Customer, Order, StripeCustomer, Subscription, User
from portal.orders import fulfillment
from portal.sync import versions
from tests.conftest import Person
from tests.orders.test_payment_links import make_link, pay
from tests.support import browsing
from tests.support.world import World

pytestmark = pytest.mark.both_databases


def arrive(here: World, someone: Person, email: str, *, event_first: bool = False) -> fulfillment.SessionSnapshot:
    """Pay by a link as a Stripe customer that belongs to `someone`. Nothing is fulfilled yet."""
    here.deliveries(hold=True)
    here.fail(next=1000, status=500, path="/v1/checkout/sessions/")  # the success page writes nothing either
    pay(browsing.Browser(here), make_link(here), email)
    here.calm()
    session_id = here.stripe().v1.checkout.sessions.list({"limit": 1}).data[0].id
    snapshot = fulfillment.act(fulfillment.read("live", session_id))
    assert snapshot.session.customer
    holder = stripe_customers.of(db.session.get_one(User, someone.user_id))
    stripe_customers.add_name(holder, snapshot.session.customer, email)
    db.session.commit()
    if event_first:
        assert subscriptions.sync("live", str(snapshot.session.subscription))
    return snapshot


def fulfill(snapshot: fulfillment.SessionSnapshot) -> Order:
    versions.hold(snapshot)
    order = fulfillment.apply(snapshot)
    assert order is not None
    db.session.commit()
    return order


@pytest.mark.parametrize("event_first", [False, True])
def test_of_an_unproven_account_it_is_taken_to_who_proves_the_address(
    here: World, alice: Person, event_first: bool
) -> None:
    with here.app.app_context():
        order = fulfill(arrive(here, alice, alice.email, event_first=event_first))
        assert [order.customer.user_id] == [one.id for one in owners.waiting(alice.email)]
        for model in (Subscription, StripeCustomer):
            assert db.session.execute(select(model.customer_id)).scalars().all() == [order.customer_id]
        holder = db.session.execute(select(Customer).filter_by(user_id=alice.user_id)).scalar_one()
        assert access.of(holder).tier == "free"
        assert access.of(order.customer).tier == "pro"
        assert stripe_customers.at_stripe(holder) != stripe_customers.at_stripe(order.customer)
        db.session.remove()
    alice.browser.open("/billing")
    assert "Pro" not in alice.browser.text


def test_of_a_proven_account_it_is_that_account_s(here: World, alice: Person) -> None:
    alice.prove()
    with here.app.app_context():
        order = fulfill(arrive(here, alice, "another@example.com"))
        assert order.customer.user_id == alice.user_id
        db.session.remove()


def test_one_that_pays_for_a_plan_of_the_unproven_account_is_for_a_person_to_look_at(
    here: World, bob: Person
) -> None:
    with here.app.app_context():
        snapshot = arrive(here, bob, bob.email)
        plan = db.session.execute(select(Subscription)).scalar_one()
        plan.stripe_customer = str(snapshot.session.customer)
        db.session.commit()
        versions.hold(snapshot)
        with pytest.raises(fulfillment.Mismatch, match="customer"):
            fulfillment.apply(snapshot)
        db.session.rollback()
        db.session.remove()
