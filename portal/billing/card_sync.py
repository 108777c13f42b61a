"""The cards that customers pay with: the default card and those of subscriptions, synced together."""

from dataclasses import dataclass

from sqlalchemy import select

from portal.billing import subscriptions
from portal.customers import stripe_customers
from portal.enums import Mode
from portal.extensions import db
from portal.models import Subscription


@dataclass(frozen=True)
class CardsSnapshot:
    """A customer at Stripe, and their active subscriptions with the card that pays each."""

    customer: stripe_customers.CustomerSnapshot
    subscriptions: tuple[subscriptions.SubscriptionSnapshot, ...]


def read(mode: Mode, stripe_customer: str) -> CardsSnapshot:
    """Fetch the customer and their active subscriptions, each under its own sync number."""
    customer = stripe_customers.read(mode, stripe_customer)
    running = [] if customer.facts.deleted else _running(mode, stripe_customer)
    return CardsSnapshot(customer, tuple(subscriptions.read(mode, one) for one in running))


def apply(snapshot: CardsSnapshot) -> bool:
    """Write them. Returns False for a customer that isn't ours. Flushes."""
    for subscription in snapshot.subscriptions:
        subscriptions.apply(subscription)
    return stripe_customers.apply(snapshot.customer)


def _running(mode: Mode, stripe_customer: str) -> list[str]:
    query = select(Subscription.stripe_id).filter_by(mode=mode, stripe_customer=stripe_customer, ended_at=None)
    found = list(db.session.execute(query.order_by(Subscription.id)).scalars())
    db.session.commit()
    return found
