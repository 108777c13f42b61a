"""Syncing everything about a customer with Stripe, to recover from lost webhooks."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import structlog
from sqlalchemy import Select, exists, select

from portal import clock, gateway
from portal.billing import invoices, subscriptions
from portal.credits import expiries
from portal.credits.orders import payments
from portal.credits.top_ups import rules
from portal.customers import stripe_customers
from portal.enums import Mode
from portal.errors import StripeRefused
from portal.extensions import db
from portal.models import (
    Customer,
    Order,
    OrderState,
    Payment,
    PaymentStatus,
    StripeCustomer,
    Subscription,
)
from portal.orders import fulfillment
from portal.orders.fulfillment import Mismatch
from portal.payments.reversal_sync import sync_payment
from portal.sync import locks
from portal.usage.monthly_run import bill_states

log = structlog.get_logger()

INVOICES_OF = timedelta(days=400)  # a year and a margin
NEWEST_PAYMENTS = 50
Sync = Callable[[], object]


def resync(customer: Customer) -> int:
    """Sync every object of the customer, and return how many Stripe knows. Commits several times.

    Each is the sync that its webhook runs, so it can run at any time. Raises StripeUnavailable.
    """
    done = 0
    for sync in _syncs(customer):
        try:
            sync()
            db.session.commit()  # some of them read what they wrote
            done += 1
        except (StripeRefused, Mismatch) as reason:
            db.session.rollback()
            log.warning("not_resynced", customer=customer.id, reason=type(reason).__name__)
    return done


def _syncs(customer: Customer) -> Iterator[Sync]:
    mode = customer.mode
    lane, since = gateway.of(mode), clock.now() - INVOICES_OF
    for name in _all(select(StripeCustomer.stripe_id).filter_by(customer_id=customer.id, deleted_at=None)):
        yield partial(stripe_customers.sync, mode, name)
        yield from (partial(subscriptions.sync, mode, one.id) for one in lane.subscriptions(name))
        yield from (partial(_sync_invoice, mode, one.id) for one in lane.invoices_since(name, since))
    for stripe_id in _all(select(Subscription.stripe_id).filter_by(customer_id=customer.id)):
        yield partial(subscriptions.sync, mode, stripe_id)
    for session_id in _all(select(Order.session_id).filter_by(customer_id=customer.id, state=OrderState.OPEN)):
        yield partial(fulfillment.fulfill, mode, session_id)
    for intent in _all(_unpaid_for(customer)):
        yield partial(payments.sync, mode, intent)
    newest = (
        select(Payment)
        .filter_by(customer_id=customer.id, status=PaymentStatus.SUCCEEDED)
        .order_by(Payment.id.desc())
    )
    for payment in db.session.execute(newest.limit(NEWEST_PAYMENTS)).scalars().all():
        yield partial(sync_payment, payment)
    yield partial(expiries.settle, customer.id)
    yield partial(bill_states.settle, customer.id)
    yield partial(_pause_top_up, customer.id)


def _unpaid_for(customer: Customer) -> Select[str | None]:
    """Select the payment intents of paid orders whose payment is not stored here."""
    known = exists().where(Payment.order_id == Order.id)
    query = select(Order.payment_intent).filter_by(
        customer_id=customer.id, state=OrderState.PAID, subscription_id=None
    )
    return query.where(Order.payment_intent.is_not(None), ~known)


def _pause_top_up(customer_id: int) -> None:
    """Pause the top-up after a reversal, as it is done immediately now. An older rule may still be buying."""
    customer = locks.lock(customer_id)
    query = rules.clawed_back(customer.mode).where(Customer.id == customer_id)
    if db.session.execute(query).first():
        rules.pause(customer_id, "taken_back")


def _sync_invoice(mode: Mode, stripe_id: str) -> None:
    invoices.apply(invoices.read_alone(mode, stripe_id))


def _all(query: Select[Any]) -> list[str]:
    """Return the ids that a query finds, leaving no transaction open."""
    found = [stripe_id for stripe_id in db.session.execute(query).scalars() if stripe_id]
    db.session.commit()
    return found
