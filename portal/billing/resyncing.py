"""Bringing everything that is known of a customer to where Stripe is: what lost webhooks would have told."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import structlog
from sqlalchemy import Select, exists, select

from portal import clock, gateway
from portal.billing import invoices, subscriptions
from portal.credits import expiries, payments, topup_rules
from portal.customers import locks
from portal.errors import StripeRefused
from portal.extensions import db
from portal.models import Customer, Payment, Purchase, StripeCustomer, Subscription
from portal.payments.sync import sync_payment
from portal.purchases import customers, fulfilment
from portal.purchases.fulfilment import Mismatch
from portal.usage import bills

log = structlog.get_logger()

INVOICES_OF = timedelta(days=400)  # a year and what surrounds it
NEWEST_PAYMENTS = 50
Sync = Callable[[], object]


def resync(customer: Customer) -> int:
    """Ask Stripe about every object of the customer's; gives how many it knew. Commits as it goes.

    Each is the sync that its webhook runs, so it may be done at any time. Raises StripeUnavailable.
    """
    done = 0
    for sync in _syncs(customer):
        try:
            sync()
            db.session.commit()  # some look at what they wrote
            done += 1
        except (StripeRefused, Mismatch) as reason:
            db.session.rollback()
            log.warning("not_resynced", customer=customer.id, reason=type(reason).__name__)
    return done


def _syncs(customer: Customer) -> Iterator[Sync]:
    mode = customer.mode
    lane, since = gateway.of(mode), clock.now() - INVOICES_OF
    for name in _all(select(StripeCustomer.stripe_id).filter_by(customer_id=customer.id, deleted_at=None)):
        yield partial(customers.sync, mode, name)
        yield from (partial(subscriptions.sync, mode, one.id) for one in lane.subscriptions(name))
        yield from (partial(_sync_invoice, mode, one.id) for one in lane.invoices_since(name, since))
    for stripe_id in _all(select(Subscription.stripe_id).filter_by(customer_id=customer.id)):
        yield partial(subscriptions.sync, mode, stripe_id)
    for session_id in _all(select(Purchase.session_id).filter_by(customer_id=customer.id, state="open")):
        yield partial(fulfilment.fulfil, mode, session_id)
    for intent in _all(_unpaid_for(customer)):
        yield partial(payments.sync, mode, intent)
    newest = select(Payment).filter_by(customer_id=customer.id, status="succeeded").order_by(Payment.id.desc())
    for payment in db.session.execute(newest.limit(NEWEST_PAYMENTS)).scalars().all():
        yield partial(sync_payment, payment)
    yield partial(expiries.settle, customer.id)
    yield partial(bills.settle, customer.id)
    yield partial(_pause_top_up, customer.id)


def _unpaid_for(customer: Customer) -> Select[str | None]:
    """Payment intents of paid orders whose payment is not known here."""
    known = exists().where(Payment.purchase_id == Purchase.id)
    query = select(Purchase.payment_intent).filter_by(customer_id=customer.id, state="paid", subscription_id=None)
    return query.where(Purchase.payment_intent.is_not(None), ~known)


def _pause_top_up(customer_id: int) -> None:
    """What a claw-back does at once today; a rule from before may have gone on buying."""
    customer = locks.lock(customer_id)
    query = topup_rules.clawed_back(customer.mode).where(Customer.id == customer_id)
    if db.session.execute(query).first():
        topup_rules.pause(customer_id, "taken_back")


def _sync_invoice(mode: str, stripe_id: str) -> None:
    invoices.apply(invoices.read_alone(mode, stripe_id))


def _all(query: Select[Any]) -> list[str]:
    """The ids that a query finds, with no transaction left open."""
    found = [stripe_id for stripe_id in db.session.execute(query).scalars() if stripe_id]
    db.session.commit()
    return found
