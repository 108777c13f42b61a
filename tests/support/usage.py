"""Usage for tests: a key that reports it, and what became of it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import requests
from sqlalchemy import select

from portal.extensions import db
from portal.keys import minting
from portal.models import Customer, Meter, UsageDay, UsageEvent, User
from portal.purchases import customers
from portal.usage import quantities
from tests.support.browsing import CARD, Browser
from tests.support.world import World

Json = dict[str, Any]


def event(identifier: str, quantity: Any = 1, meter: str = "api_calls", **more: Any) -> Json:
    """An event as it is reported."""
    return {"meter": meter, "quantity": quantity, "identifier": identifier, **more}


@dataclass(frozen=True)
class Reporter:
    """A customer's server, with their key."""

    here: World
    customer_id: int
    key: str

    def send(self, *events: Json) -> requests.Response:
        """Report these events."""
        return self.send_raw(json.dumps({"events": events}))

    def send_raw(self, body: str, kind: str = "application/json") -> requests.Response:
        """Report in one's own words."""
        headers = {**self.headers, "Content-Type": kind}
        return requests.post(f"{self.here.base}/api/v1/usage", body, headers=headers, timeout=30)

    def month(self, month: str = "") -> requests.Response:
        """Ask for a month."""
        path = f"{self.here.base}/api/v1/usage" + (f"?month={month}" if month else "")
        return requests.get(path, headers=self.headers, timeout=30)

    @property
    def headers(self) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {self.key}"}


def reporter(here: World, email: str, mode: str = "live") -> Reporter:
    """A server of this user's."""
    with here.app.app_context():
        user = db.session.execute(select(User).filter_by(email=email)).scalar_one()
        customer = customers.of(user, mode)
        _, secret = minting.mint(customer, "Server")
        found = Reporter(here, customer.id, secret)
        db.session.commit()
        db.session.remove()
    return found


def summed(model: type[UsageEvent] | type[UsageDay], customer_id: int) -> dict[str, Decimal]:
    """What a customer used, by meter: from the events, or from the sums of their days."""
    query = select(Meter.key, model.units, model.nanos).join(Meter, Meter.id == model.meter_id)
    found: dict[str, Decimal] = {}
    for key, units, nanos in db.session.execute(query.where(model.customer_id == customer_id)):
        found[key] = found.get(key, Decimal(0)) + quantities.joined(units, nanos)
    db.session.rollback()
    return found


def suspend(customer_id: int) -> None:
    """As an admin would."""
    from portal import clock

    customer = db.session.get_one(Customer, customer_id)
    customer.suspended_at = clock.now()
    db.session.commit()


def start(browser: Browser, *, back: bool = True) -> None:
    """Press "Start pay as you go" and save a card; without `back` the browser is closed on Stripe's page."""
    browser.open("/usage")
    browser.press("Start pay as you go")
    card = {"number": CARD, "expiration": "12 / 34", "cvc": "123", "name": "Test Person", "zip": "94107"}
    browser.press("Save card", follow=back, **card)


def save_card(here: World, stripe_customer: str, card: str = "pm_card_visa") -> str:
    """Attach a card to a customer at Stripe; gives its id."""
    return str(here.stripe().v1.payment_methods.attach(card, {"customer": stripe_customer}).id)
