"""Every two handlers that lock, beside each other on PostgreSQL: one waits for the other, none fails."""

import threading
import time
from collections.abc import Iterator
from itertools import combinations_with_replacement
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event, select, update

from portal.customers import suspensions
from portal.extensions import db
from portal.models import Customer, Invoice, MonthlyBill, Order, Price, StripeCustomer, Subscription
from portal.models.suspension import SuspensionReason
from portal.sync import versions
from portal.webhooks import handlers, inbox
from portal.webhooks.handlers import Handler
from tests.conftest import Person
from tests.support import credits
from tests.support.lock_order import locked_by
from tests.support.usage import becomes, bill_of, record, reporter, run, start
from tests.support.world import World

SUSPECT = "4000 0000 0000 5423"  # pays, and its issuer warns of fraud
WIDENS = 0.01  # seconds that each lock is held before the next is asked for
Subject = tuple[Handler, str]


@pytest.fixture
def subjects(app: Flask, here: World, bob: Person) -> dict[str, Subject]:
    """An object for each handler: Bob's plan, his credits with a refund, and a bill for usage."""
    intent, bill = credits.buy(here, bob, SUSPECT), billed(app, here, bob)
    stripe = here.stripe().v1
    cus = db.session.execute(select(StripeCustomer.stripe_id)).scalar_one()
    db.session.commit()
    refund = stripe.refunds.create({"payment_intent": intent, "amount": 100})
    plan = db.session.execute(select(Subscription).where(Subscription.tier == "pro")).scalar_one()
    usage = db.session.execute(select(Subscription).where(Subscription.tier.is_(None))).scalar_one()
    first = db.session.execute(select(Invoice).filter_by(subscription_id=plan.stripe_id)).scalar_one()
    sessions = {one.kind: one.session_id for one in db.session.execute(select(Order)).scalars()}
    schedule = stripe.subscription_schedules.create({"from_subscription": plan.stripe_id})
    (warning,) = stripe.radar.early_fraud_warnings.list({"payment_intent": intent}).data
    here.flush()
    sold = db.session.execute(select(Price).filter_by(key="pro-monthly")).scalar_one()
    assert all((sold.live_price_id, sold.plan.live_product_id))
    return {
        "session of credits": (handlers.SESSION, sessions["credits"]),
        "session of a plan": (handlers.SESSION, sessions["plan"]),
        "session of an agreement": (handlers.SESSION, sessions["usage"]),
        "plan": (handlers.SUBSCRIPTION, plan.stripe_id),
        "agreement": (handlers.SUBSCRIPTION, usage.stripe_id),
        "schedule": (handlers.SCHEDULE, schedule.id),
        "invoice of a plan": (handlers.INVOICE, first.stripe_id),
        "bill": (handlers.INVOICE, bill),
        "customer": (handlers.CUSTOMER, cus),
        "tax id": (handlers.TAX_ID, cus),
        "cards": (handlers.CARDS, cus),
        "methods": (handlers.METHODS, cus),
        "payment": (handlers.PAYMENT, intent),
        "charge": (handlers.CHARGE, refund.charge),
        "refund": (handlers.REVERSAL, refund.id),
        "discount": (handlers.DISCOUNT, plan.stripe_id),
        "credit note": (handlers.CREDIT_NOTE, first.stripe_id),
        "invoice item": (handlers.INVOICE_ITEM, bill),
        "fraud warning": (handlers.FRAUD_WARNING, warning.id),
        "price": (handlers.PRICE, sold.live_price_id),
        "product": (handlers.PRODUCT, sold.plan.live_product_id),
    }


def billed(app: Flask, here: World, someone: Person) -> str:
    """Start pay as you go, use something, and return the id of its paid invoice."""
    start(someone.browser)
    here.flush()
    server = reporter(here, someone.email)
    record(server.customer_id, ("a", 10, "cpu_hour"))
    assert run(app).exit_code == 0
    becomes(here, server.customer_id, "paid")
    invoice = bill_of(server.customer_id).invoice_id
    assert invoice
    return invoice


@pytest.fixture
def slow_locks(app: Flask) -> Iterator[None]:
    """Hold each lock for a moment before the next, so that two transactions meet between any two of theirs."""

    def wait(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if locked_by(statement):
            time.sleep(WIDENS)

    event.listen(db.engine, "after_cursor_execute", wait)
    yield
    event.remove(db.engine, "after_cursor_execute", wait)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("the_world", ["postgresql"], indirect=True)
def test_every_two_handlers_beside_each_other(
    app: Flask, here: World, subjects: dict[str, Subject], slow_locks: None
) -> None:
    clocks = {handlers.CLOCK, handlers.CLOCK_GONE}  # they lock customers and nothing else
    assert {handler for handler, _ in subjects.values()} == set().union(*handlers.HANDLERS.values()) - clocks
    failures = []
    for one, other in combinations_with_replacement(subjects, 2):
        as_before_the_payment(here)
        failures += [f"{one} and {other}: {error}" for error in at_once(app, subjects[one], subjects[other])]
    assert failures == []


def as_before_the_payment(here: World) -> None:
    """Suspend the customer for reasons that the events end, and reopen orders, so that handlers have much to
    write.
    """
    customer_id = db.session.execute(select(Customer.id)).scalar_one()
    for reason in (SuspensionReason.UNPAID, SuspensionReason.NO_PAYMENT_METHOD):
        suspensions.add(customer_id, reason, "test")
    db.session.execute(update(MonthlyBill).values(state="unpaid"))
    db.session.execute(update(Order).values(state="open", paid_at=None))
    db.session.commit()


def at_once(app: Flask, *told: Subject) -> list[str]:
    """Handle both in two threads that have read before either writes, and return the errors."""
    together, raised = threading.Barrier(len(told)), []

    def handle(handler: Handler, object_id: str) -> None:
        with app.app_context():
            try:
                snapshots = [handler.act(handler.read("live", object_id))]
                db.session.commit()
                together.wait(30)
                versions.hold(snapshots)
                inbox.apply((handler,), snapshots)
                db.session.commit()
            except Exception as error:
                db.session.rollback()
                raised.append(f"{type(error).__name__}: {error}")
            finally:
                db.session.remove()

    threads = [threading.Thread(target=handle, args=one) for one in told]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised
