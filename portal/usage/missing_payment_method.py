"""Suspend metered customers who have no payment method left, and lift that once they have one."""

from dataclasses import dataclass

from sqlalchemy import select

from portal import gateway
from portal.customers import stripe_customers, suspensions
from portal.enums import Mode
from portal.extensions import db
from portal.models import StripeCustomer
from portal.models.suspension import SuspensionReason
from portal.sync import idempotency, locks, versions
from portal.usage import agreements


@dataclass(frozen=True)
class MethodsSnapshot:
    """Whether a Stripe customer has a payment method, with its sync number."""

    mode: Mode
    number: int
    stripe_customer: str
    methods: list[str]
    name_id: int | None = None  # our row of a customer with payment methods but no default

    @property
    def ticket(self) -> str:
        """Return the id that its sync numbers belong to."""
        return _ticket(self.stripe_customer)


def read(mode: Mode, stripe_customer: str) -> MethodsSnapshot:
    """Take a number and fetch the payment methods."""
    number = versions.take(mode, _ticket(stripe_customer))
    lane = gateway.of(mode)
    methods = lane.methods(stripe_customer)
    name_id = _ours(mode, stripe_customer) if methods else None
    if name_id is not None and lane.customer(stripe_customer).payment_method is not None:
        name_id = None
    return MethodsSnapshot(mode, number, stripe_customer, methods, name_id)


def act(snapshot: MethodsSnapshot) -> MethodsSnapshot:
    """Make the newest method the default if there is none. Commits its claim."""
    if snapshot.name_id is None:
        return snapshot
    name = db.session.get_one(StripeCustomer, snapshot.name_id)
    lane, stripe_customer, method = gateway.of(snapshot.mode), snapshot.stripe_customer, snapshot.methods[0]
    idempotency.call(
        name,
        lambda key: lane.set_default_method(stripe_customer, method, key),
        f"default-{method}",
        find=lambda _named: agreements.charged_to(lane, stripe_customer, method),
    )
    return snapshot


def apply(snapshot: MethodsSnapshot) -> bool:
    """Suspend a customer who lost the last method during an agreement, or lift that. Never creates a subscription.

    Returns False for a customer that isn't ours. Flushes.
    """
    if stripe_customers.id_of(snapshot.mode, snapshot.stripe_customer) is None:
        return False
    if not versions.use(snapshot):
        return True
    locks.lock_owner(lambda: stripe_customers.id_of(snapshot.mode, snapshot.stripe_customer))
    query = select(StripeCustomer).filter_by(mode=snapshot.mode, stripe_id=snapshot.stripe_customer)
    name = db.session.execute(query, execution_options={"populate_existing": True}).scalar_one()
    if not name.is_current:
        return True
    if snapshot.methods:
        suspensions.lift(name.customer_id, SuspensionReason.NO_PAYMENT_METHOD, about=snapshot.methods[0])
    elif agreements.running(name.customer_id):
        suspensions.add(name.customer_id, SuspensionReason.NO_PAYMENT_METHOD, snapshot.stripe_customer)
    return True


def _ticket(stripe_customer: str) -> str:
    """Return the sync id of the list of methods, which is synced separately from its customer."""
    return f"{stripe_customer}/payment_methods"


def _ours(mode: Mode, stripe_customer: str) -> int | None:
    query = select(StripeCustomer.id).filter_by(mode=mode, stripe_id=stripe_customer, is_current=True)
    found = db.session.execute(query).scalar_one_or_none()
    db.session.commit()
    return found
