"""Comparing the stalest copies with Stripe, a few at a time, in case their webhooks were lost."""

import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import Select, select, update

from portal import clock, gateway
from portal.billing import invoices, subscriptions
from portal.customers import stripe_customers
from portal.enums import Mode
from portal.errors import StripeRefused, StripeUnavailable
from portal.extensions import db
from portal.models import Invoice, Order, Subscription
from portal.models.invoice import OPEN as OPEN_INVOICE
from portal.models.order import OPEN as OPEN_ORDER
from portal.orders import fulfillment
from portal.orders.fulfillment import Mismatch
from portal.sync import call_budget

log = structlog.get_logger()

STALE_AFTER = timedelta(days=1)
ORDERS_OF = timedelta(days=3)  # after their checkout expired; an order that stays open is not asked about forever
CALLS = 30  # per run and mode; Stripe allows 25 a second in test mode, 100 in live mode
MOST_OF_ONE = 10  # calls that one sync makes at most
STALEST = 100  # of each kind; a random sample of them is synced, so processes rarely choose the same

Copy = Subscription | Invoice | Order


def run() -> int:
    """Scheduled task: sync the stalest subscriptions, open invoices and open orders, and return how many. Commits
    after each.

    Each subscription and invoice is asked about once a day at most, so that a small account costs few calls, and a
    large one no more than CALLS.
    """
    return sum(_run(mode) for mode in Mode if gateway.of(mode).is_configured)


def _run(mode: Mode) -> int:
    found = [copy for query in _stalest(mode) for copy in db.session.execute(query.limit(STALEST)).scalars()]
    db.session.commit()
    random.shuffle(found)
    done = 0
    with call_budget.limited(CALLS) as budget:
        for copy in found:
            if budget.left < MOST_OF_ONE or not _sync(copy):
                break
            done += 1
    return done


def _stalest(mode: Mode) -> Iterator[Select[Any]]:
    now = clock.now()
    running = select(Subscription).filter_by(mode=mode, ended_at=None)
    yield running.where(Subscription.synced_at < now - STALE_AFTER).order_by(Subscription.synced_at)
    unpaid = select(Invoice).filter_by(mode=mode).where(OPEN_INVOICE)
    yield unpaid.where(Invoice.synced_at < now - STALE_AFTER).order_by(Invoice.synced_at)
    # Nobody can pay after that, so Stripe knows the outcome.
    expired = Order.session_expires_at.between(now - ORDERS_OF, now)
    open_ones = select(Order).filter_by(mode=mode).where(OPEN_ORDER)
    yield open_ones.where(expired).order_by(Order.session_expires_at)


def _sync(copy: Copy) -> bool:
    """Sync one copy. Returns False if Stripe does not answer. Commits."""
    try:
        if isinstance(copy, Subscription):
            _sync_subscription(copy)
        elif isinstance(copy, Invoice):
            invoices.sync(copy.mode, copy.stripe_id)
        elif copy.session_id:
            fulfillment.fulfill(copy.mode, copy.session_id)
    except StripeUnavailable:
        db.session.rollback()
        return False
    except (StripeRefused, Mismatch) as reason:
        db.session.rollback()
        _note_unknown(copy, reason.code)
    return True


def _sync_subscription(copy: Subscription) -> None:
    """Sync a subscription; if it has ended at Stripe, also the customer, who may have been deleted."""
    now = subscriptions.sync(copy.mode, copy.stripe_id)
    if now is not None and now.status.is_final:
        log.warning("subscription_ended_unheard", subscription=now.stripe_id)
        stripe_customers.sync(now.mode, now.stripe_customer)


def _note_unknown(copy: Copy, code: str) -> None:
    """Ask again in a day, and keep the copy: with another account's key, Stripe knows none of them. Commits."""
    log.warning("stale_copy_not_synced", copy=type(copy).__name__, row=copy.id, reason=code)
    if not isinstance(copy, Order):
        model = type(copy)
        db.session.execute(update(model).filter_by(id=copy.id).values(synced_at=clock.now()))
    db.session.commit()
