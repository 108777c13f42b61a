"""Actions that our copies refuse although Stripe may say otherwise, because webhooks were lost."""

from collections.abc import Callable
from typing import TypeVar

import structlog
from sqlalchemy import select

from portal import gateway
from portal.billing import subscriptions
from portal.customers import stripe_customers
from portal.enums import Mode
from portal.errors import Conflict, StripeRefused, StripeUnavailable
from portal.extensions import db
from portal.models import Customer, StripeCustomer

log = structlog.get_logger()

Answer = TypeVar("Answer")


def checked(customer: Customer | None, check: Callable[[], Answer]) -> Answer:
    """Return what `check` finds in our copies. If it raises Conflict, sync with Stripe and check once more.
    Commits.

    So what a customer is refused is so at Stripe too. If Stripe does not answer, the first answer stands.
    """
    try:
        return check()
    except Conflict:
        db.session.rollback()
        if customer is None or not sync_subscriptions(customer):
            raise
        return check()


def sync_subscriptions(customer: Customer) -> bool:
    """Sync the customer's ids at Stripe, and their subscriptions, also those that are unknown here. Commits.

    Returns False if Stripe does not answer.
    """
    known = {one.stripe_id for one in subscriptions.of_customer(customer.id)}
    mine = select(StripeCustomer.stripe_id).filter_by(customer_id=customer.id, deleted_at=None)
    names = [name for name in db.session.execute(mine).scalars() if name]
    db.session.commit()
    try:
        for name in names:
            known |= _sync_payer(customer.mode, name)
        for stripe_id in sorted(known):
            _sync(customer.mode, stripe_id)
    except StripeUnavailable:
        db.session.rollback()
        log.warning("contradiction_not_checked", customer=customer.id)
        return False
    return True


def _sync_payer(mode: Mode, name: str) -> set[str]:
    """Sync an id at Stripe, and return the ids of its subscriptions that have not ended. Commits."""
    payer = stripe_customers.read(mode, name)
    stripe_customers.apply(payer)
    db.session.commit()
    return set() if payer.facts.deleted else {one.id for one in gateway.of(mode).subscriptions(name)}


def _sync(mode: Mode, subscription_id: str) -> None:
    try:
        subscriptions.sync(mode, subscription_id)
    except StripeRefused as refused:  # Stripe does not know it: the others are still compared
        db.session.rollback()
        log.warning("subscription_not_synced", subscription=subscription_id, code=refused.stripe_code)
