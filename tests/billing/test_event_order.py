"""Syncs don't overtake each other: an older fetch that is written last changes nothing."""

import pytest
from flask import Flask
from sqlalchemy import select

from portal.billing import invoices, subscriptions
from portal.customers import access, stripe_customers
from portal.extensions import db
from portal.models import Customer, Invoice, Order, StripeCustomer, Subscription
from portal.orders import fulfillment
from portal.sync import versions
from tests.conftest import Person
from tests.support.world import World

pytestmark = pytest.mark.both_databases


@pytest.fixture
def bought(bob: Person, app: Flask) -> Subscription:
    """Bob's subscription."""
    found = db.session.execute(select(Subscription)).scalar_one()
    db.session.commit()
    return found


def test_an_end_is_not_undone_by_an_older_fetch(here: World, bought: Subscription) -> None:
    older = subscriptions.read("live", bought.stripe_id)
    here.stripe().v1.subscriptions.cancel(bought.stripe_id)
    subscriptions.sync("live", bought.stripe_id)
    subscriptions.apply(older)
    db.session.commit()
    assert db.session.execute(select(Subscription.status)).scalar_one() == "canceled"
    assert access.of(db.session.execute(select(Customer)).scalar_one()).tier == "free"


def test_a_newer_fetch_that_is_written_first_stays(here: World, bought: Subscription) -> None:
    first, second = (subscriptions.read("live", bought.stripe_id) for _ in range(2))
    assert second.number > first.number
    for snapshot in (second, first, second):
        subscriptions.apply(snapshot)
        db.session.commit()
    assert db.session.execute(select(Subscription.status)).scalar_one() == "active"


def test_an_invoice_drags_no_older_subscription_along(here: World, bought: Subscription) -> None:
    older = invoices.read("live", db.session.execute(select(Invoice.stripe_id)).scalar_one())
    here.stripe().v1.subscriptions.cancel(bought.stripe_id)
    subscriptions.sync("live", bought.stripe_id)
    versions.hold(older)
    assert invoices.apply(older)
    db.session.commit()
    assert db.session.execute(select(Subscription.status)).scalar_one() == "canceled"


def test_a_deleted_customer_stays_deleted(here: World, bought: Subscription) -> None:
    older = stripe_customers.read("live", bought.stripe_customer)
    here.stripe().v1.customers.delete(bought.stripe_customer)
    stripe_customers.sync("live", bought.stripe_customer)
    assert stripe_customers.apply(older)
    db.session.commit()
    assert db.session.execute(select(StripeCustomer.is_current)).scalar_one() is False


def test_a_paid_order_is_not_reopened_by_an_older_look_at_its_session(
    here: World, alice: Person, app: Flask
) -> None:
    alice.browser.choose("pro-monthly")
    session_id = db.session.execute(select(Order.session_id)).scalar_one()
    db.session.commit()
    older = fulfillment.read("live", session_id)
    assert older.session.status == "open"
    alice.browser.pay()
    versions.hold(older)
    fulfillment.apply(older)
    db.session.commit()
    assert db.session.execute(select(Order.state)).scalar_one() == "paid"
