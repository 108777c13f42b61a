"""The cards that customers pay with: what Stripe says of a default card and of what it pays, together."""

from dataclasses import dataclass

from sqlalchemy import select

from portal.billing import subscriptions
from portal.extensions import db
from portal.models import Subscription
from portal.purchases import customers


@dataclass(frozen=True)
class Snapshot:
    """A customer at Stripe, and the subscriptions that run under that name: each shows the card that pays it."""

    customer: customers.Snapshot
    subscriptions: tuple[subscriptions.Snapshot, ...]


def read(mode: str, stripe_customer: str) -> Snapshot:
    """Fetch the customer and their running subscriptions, each under a number of its own."""
    customer = customers.read(mode, stripe_customer)
    running = [] if customer.facts.deleted else _running(mode, stripe_customer)
    return Snapshot(customer, tuple(subscriptions.read(mode, one) for one in running))


def apply(snapshot: Snapshot) -> bool:
    """Write them. False for a customer that isn't ours. Flushes."""
    for subscription in snapshot.subscriptions:
        subscriptions.apply(subscription)
    return customers.apply(snapshot.customer)


def _running(mode: str, stripe_customer: str) -> list[str]:
    query = select(Subscription.stripe_id).filter_by(mode=mode, stripe_customer=stripe_customer, ended_at=None)
    found = list(db.session.execute(query.order_by(Subscription.id)).scalars())
    db.session.commit()
    return found
