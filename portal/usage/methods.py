"""Payment methods that come and go: without one, metered work stops; with one it goes on (seed 5)."""

from dataclasses import dataclass

from sqlalchemy import select

from portal import gateway
from portal.customers import suspensions
from portal.extensions import db
from portal.models import StripeCustomer
from portal.models.suspension import SuspensionReason
from portal.purchases import tickets
from portal.usage import agreements


@dataclass(frozen=True)
class Snapshot:
    """Whether a Stripe customer has a payment method, under its sync's number."""

    mode: str
    number: int
    stripe_customer: str
    methods: list[str]

    @property
    def ticket(self) -> str:
        """The id under which its syncs are counted."""
        return _ticket(self.stripe_customer)


def read(mode: str, stripe_customer: str) -> Snapshot:
    """Take a number and fetch. Invoices are charged to the default: the newest, where none is."""
    number = tickets.take(mode, _ticket(stripe_customer))
    lane = gateway.of(mode)
    methods = lane.methods(stripe_customer)
    if methods and _is_ours(mode, stripe_customer) and lane.customer(stripe_customer).payment_method is None:
        lane.set_default_method(stripe_customer, methods[0])
    return Snapshot(mode, number, stripe_customer, methods)


def apply(snapshot: Snapshot) -> bool:
    """Suspend who lost the last method while the agreement runs, lift that where one is there. Never subscribes.

    False for a customer that isn't ours. Flushes.
    """
    query = select(StripeCustomer).filter_by(mode=snapshot.mode, stripe_id=snapshot.stripe_customer)
    name = db.session.execute(query).scalar_one_or_none()
    if name is None:
        return False
    newest = tickets.use(snapshot)
    if not newest or not name.is_current:
        return True
    if snapshot.methods:
        suspensions.lift(name.customer_id, SuspensionReason.NO_PAYMENT_METHOD, about=snapshot.methods[0])
    elif agreements.running(name.customer_id):
        suspensions.add(name.customer_id, SuspensionReason.NO_PAYMENT_METHOD, snapshot.stripe_customer)
    return True


def _ticket(stripe_customer: str) -> str:
    """The list of methods is synced apart from its customer."""
    return f"{stripe_customer}/payment_methods"


def _is_ours(mode: str, stripe_customer: str) -> bool:
    query = select(StripeCustomer.id).filter_by(mode=mode, stripe_id=stripe_customer, is_current=True)
    found = db.session.execute(query).scalar_one_or_none() is not None
    db.session.commit()
    return found
