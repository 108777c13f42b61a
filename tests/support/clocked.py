"""Customers on a test clock of the sandbox: their time passes when a test says so."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select

from portal import clock
from portal.customers import stripe_customers
from portal.extensions import db
from portal.models import Customer, OutboxMail, StripeCustomer, User
from tests.support.world import World

START = datetime(2027, 1, 31, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Clocked:
    """A user's customer in test mode whose Stripe customer is on a test clock of its own."""

    here: World
    clock: str
    stripe_customer: str
    customer_id: int

    @property
    def stripe(self) -> Any:
        """The SDK's test lane."""
        return self.here.stripe("test").v1

    @property
    def customer(self) -> Customer:
        """Return its row as it is in the database."""
        found = db.session.get_one(Customer, self.customer_id, populate_existing=True)
        db.session.commit()
        return found

    def settle(self) -> None:
        """Deliver every webhook. The test's own transaction is ended first, because it would block them."""
        db.session.commit()
        self.here.flush()
        db.session.expire_all()

    def use_card(self, card: str) -> None:
        """Make this card (`pm_card_…`) the default."""
        method = self.stripe.payment_methods.attach(card, {"customer": self.stripe_customer})
        settings = {"default_payment_method": method.id}
        self.stripe.customers.update(self.stripe_customer, {"invoice_settings": settings})

    def subscribe(self, lookup_key: str = "pro_monthly", **params: Any) -> str:
        """Create a subscription at Stripe, deliver its webhooks, and return its id."""
        price = self.stripe.prices.list({"lookup_keys": [lookup_key]}).data[0].id
        given = {"customer": self.stripe_customer, "items": [{"price": price}], **params}
        made: str = self.stripe.subscriptions.create(given).id
        self.settle()
        return made

    def advance(self, **time: int) -> None:
        """Advance the clock, and deliver the webhooks."""
        clocks = self.stripe.test_helpers.test_clocks
        later = clocks.retrieve(self.clock).frozen_time + int(timedelta(**time).total_seconds())
        clocks.advance(self.clock, {"frozen_time": later})
        self.settle()


def on_a_clock(here: World, user: User, card: str = "pm_card_visa") -> Clocked:
    """Put this user's test customer on a clock that begins at START. Commits."""
    stripe = here.stripe("test").v1
    test_clock = stripe.test_helpers.test_clocks.create({"frozen_time": int(START.timestamp())}).id
    made = stripe.customers.create({"test_clock": test_clock, "email": user.email}).id
    customer = stripe_customers.of(user, "test")
    name = {"customer_id": customer.id, "mode": "test", "stripe_id": made, "email": user.email}
    db.session.add(StripeCustomer(**name, created_at=clock.now()))
    db.session.commit()
    clocked = Clocked(here, test_clock, made, customer.id)
    clocked.use_card(card)
    return clocked


def mailed(template: str = "") -> list[OutboxMail]:
    """Return the queued mails of one template, or of all but the sign-up's, oldest first."""
    query = select(OutboxMail).order_by(OutboxMail.id)
    query = query.filter_by(template=template) if template else query.where(OutboxMail.template != "verify")
    return list(db.session.execute(query).scalars())
