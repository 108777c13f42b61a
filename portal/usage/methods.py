"""Payment methods that come and go: without one, metered work stops; with one it goes on (seed 5)."""

from dataclasses import dataclass

from sqlalchemy import select

from portal import gateway
from portal.customers import suspensions
from portal.extensions import db
from portal.models import StripeCustomer
from portal.models.suspension import SuspensionReason
from portal.purchases import claims, tickets
from portal.usage import agreements


@dataclass(frozen=True)
class Snapshot:
    """Whether a Stripe customer has a payment method, under its sync's number."""

    mode: str
    number: int
    stripe_customer: str
    methods: list[str]
    name_id: int | None = None  # our row of a customer who has methods, and none that is charged

    @property
    def ticket(self) -> str:
        """The id under which its syncs are counted."""
        return _ticket(self.stripe_customer)


def read(mode: str, stripe_customer: str) -> Snapshot:
    """Take a number and fetch."""
    number = tickets.take(mode, _ticket(stripe_customer))
    lane = gateway.of(mode)
    methods = lane.methods(stripe_customer)
    name_id = _ours(mode, stripe_customer) if methods else None
    if name_id is not None and lane.customer(stripe_customer).payment_method is not None:
        name_id = None
    return Snapshot(mode, number, stripe_customer, methods, name_id)


def act(snapshot: Snapshot) -> Snapshot:
    """Have invoices charged to the newest method where none is the default. Commits its claim."""
    if snapshot.name_id is None:
        return snapshot
    name = db.session.get_one(StripeCustomer, snapshot.name_id)
    lane, stripe_customer, method = gateway.of(snapshot.mode), snapshot.stripe_customer, snapshot.methods[0]
    claims.call(
        name,
        lambda key: lane.set_default_method(stripe_customer, method, key),
        f"default-{method}",
        find=lambda _named: agreements.charged_to(lane, stripe_customer, method),
    )
    return snapshot


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


def _ours(mode: str, stripe_customer: str) -> int | None:
    query = select(StripeCustomer.id).filter_by(mode=mode, stripe_id=stripe_customer, is_current=True)
    found = db.session.execute(query).scalar_one_or_none()
    db.session.commit()
    return found
