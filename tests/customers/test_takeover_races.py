"""A sync that waits for a customer's lock while the purchase joins an account writes it to the account."""

import threading
import time
from collections.abc import Callable

import pytest
from sqlalchemy import func, select, text

from portal import gateway
from portal.accounts.ownership import proof
from portal.billing import card_sync, invoices, subscriptions
from portal.customers import owners, stripe_customers
from portal.extensions import db
from portal.models import (
    ApiKey,
    Customer,
    Invoice,
    Order,
    Payment,
    StripeCustomer,
    Subscription,
    UsageEvent,
    User,
)
from portal.orders import fulfillment
from portal.payments import reversal_sync
from portal.sync import versions as sync_versions
from tests.conftest import Person
from tests.orders.test_payment_links import make_link, pay
from tests.support import browsing, usage
from tests.support.world import World

WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE wait_event_type = 'Lock' AND datname = current_database()"""
PATIENCE_SECONDS = 20

Apply = Callable[[], object]


def read_subscription() -> Apply:
    stripe_id = (
        db.session.execute(select(Subscription.stripe_id).order_by(Subscription.id.desc())).scalars().first()
    )
    db.session.commit()
    snapshot = subscriptions.read("live", stripe_id)
    return lambda: subscriptions.apply(snapshot)


def read_invoice() -> Apply:
    stripe_id = db.session.execute(select(Invoice.stripe_id).order_by(Invoice.id.desc())).scalars().first()
    db.session.commit()
    snapshot = invoices.read("live", stripe_id)
    return lambda: (sync_versions.hold(snapshot), invoices.apply(snapshot))


def read_cards() -> Apply:
    stripe_id = db.session.execute(select(StripeCustomer.stripe_id).order_by(StripeCustomer.id.desc())).scalars()
    snapshot = card_sync.read("live", str(stripe_id.first()))
    return lambda: (sync_versions.hold(snapshot), card_sync.apply(snapshot))


def read_session() -> Apply:
    session_id = db.session.execute(select(Order.session_id).order_by(Order.id.desc())).scalars().first()
    db.session.commit()
    snapshot = fulfillment.act(fulfillment.read("live", str(session_id)))
    return lambda: (sync_versions.hold(snapshot), fulfillment.apply(snapshot))


def read_reversals() -> Apply:
    intent = db.session.execute(select(Payment.stripe_id).order_by(Payment.id.desc())).scalars().first()
    db.session.commit()
    charge = gateway.of("live").payment_intent(str(intent)).charge
    assert charge is not None
    snapshot = reversal_sync.read("live", charge.id)
    return lambda: (sync_versions.hold(snapshot), reversal_sync.apply(snapshot))


def started(here: World, apply: Apply, failed: list[BaseException]) -> threading.Thread:
    """Apply and commit in a transaction of its own; on PostgreSQL, once it waits for a lock."""

    def run() -> None:
        try:
            with here.app.app_context():
                apply()
                db.session.commit()
                db.session.remove()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while db.engine.dialect.name == "postgresql" and time.monotonic() < deadline:
        with db.engine.connect() as connection:
            if connection.execute(text(WAITING)).scalar_one():
                break
        assert thread.is_alive(), "it waited for nothing"
        time.sleep(0.02)
    return thread


@pytest.mark.both_databases
@pytest.mark.parametrize(
    "read",
    [read_subscription, read_invoice, read_cards, read_session, read_reversals],
    ids=lambda read: read.__name__,
)
def test_a_sync_beside_a_takeover_writes_to_the_account(
    here: World, bob: Person, read: Callable[[], Apply]
) -> None:
    pay(browsing.Browser(here), make_link(here), bob.email)
    here.flush()
    bob.prove()
    with here.app.app_context():
        unclaimed, account = owners.waiting(bob.email)[0], db.session.get_one(User, bob.user_id)
        target = stripe_customers.of(account).id
        db.session.commit()
        apply = read()
        db.session.commit()
        proof.decide(account, proof.Answers({unclaimed.id: True}))
        failed: list[BaseException] = []
        thread = started(here, apply, failed)
        db.session.commit()
        thread.join()
        assert failed == []
        for model in (Subscription, Invoice, Order, Payment, StripeCustomer):
            owned = db.session.execute(select(model.customer_id, func.count()).group_by(model.customer_id)).all()
            assert [tuple(row) for row in owned] == [(target, 2)], model.__tablename__
        versions = select(Customer.id, Customer.credit_balance).where(Customer.id != target)
        assert [balance for _, balance in db.session.execute(versions)] == [0]
        db.session.rollback()


@pytest.mark.both_databases
@pytest.mark.parametrize("has_agreement", [False, True])
def test_usage_reported_during_a_takeover_is_billed_or_refused(
    here: World, bob: Person, has_agreement: bool
) -> None:
    """Usage needs an agreement, and a purchase with an agreement stays where it is: nothing is left behind."""
    buyer = browsing.Browser(here)
    pay(buyer, make_link(here), bob.email)
    key = buyer.reveal()
    here.flush()
    bob.prove()
    with here.app.app_context():
        unclaimed, account = owners.waiting(bob.email)[0], db.session.get_one(User, bob.user_id)
        source = stripe_customers.of(unclaimed).id
        if has_agreement:
            usage.agree(source)
        db.session.commit()
        kept = db.session.execute(select(ApiKey.id).filter_by(customer_id=source)).scalars().all()
        proof.decide(account, proof.Answers({unclaimed.id: True}, set(kept)))
        answers: list[int] = []
        server = usage.Reporter(here, source, key)
        thread = threading.Thread(target=lambda: answers.append(server.send(usage.event("one")).status_code))
        thread.start()
        if db.engine.dialect.name == "postgresql":  # SQLite's one writer makes it wait for the commit below
            thread.join()
        db.session.commit()
        thread.join()
        assert answers == [200 if has_agreement else 402]
        stays = db.session.execute(select(UsageEvent.customer_id)).scalars().all()
        assert stays == ([source] if has_agreement else [])
        db.session.refresh(unclaimed)
        assert (unclaimed.taken_over_by is None) is has_agreement
        db.session.rollback()
