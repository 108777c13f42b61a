"""Usage for tests: a key that reports it, and what became of it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import requests
from flask import Flask
from sqlalchemy import select

from portal import clock, quantities
from portal.customers import stripe_customers, suspensions
from portal.extensions import db
from portal.keys import api_keys
from portal.models import (
    Customer,
    Meter,
    MonthlyBill,
    OutboxMail,
    StripeCustomer,
    UsageAgreement,
    UsageDay,
    UsageEvent,
    User,
)
from portal.models.suspension import SuspensionReason
from portal.usage.events import reports, usage_events
from portal.usage.events.reports import Event
from portal.usage.monthly_run.months import Month
from tests.support.browsing import CARD, Browser
from tests.support.looking import one
from tests.support.world import World, eventually

Json = dict[str, Any]
LAST = Month.of(clock.now()).previous


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
        """Report this body."""
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
        customer = stripe_customers.of(user, mode)
        _, secret = api_keys.mint(customer, "Server")
        found = Reporter(here, customer.id, secret)
        db.session.commit()
        db.session.remove()
    return found


def agree(customer_id: int, *, days: int = 40, ended: datetime | None = None) -> None:
    """An agreement that began so many days ago, as the sync of a metered subscription writes it. Commits."""
    began = clock.now() - timedelta(days=days)
    mode = db.session.get_one(Customer, customer_id).mode
    named = {"subscription_id": f"sub_usage_{customer_id}_{days}", "params": {}, "created_at": began}
    db.session.add(UsageAgreement(customer_id=customer_id, mode=mode, ended_at=ended, **named))
    db.session.commit()


def summed(model: type[UsageEvent] | type[UsageDay], customer_id: int) -> dict[str, Decimal]:
    """Return what a customer used, by meter: from the events, or from the daily totals."""
    query = select(Meter.key, model.units, model.nanos).join(Meter, Meter.id == model.meter_id)
    found: dict[str, Decimal] = {}
    for key, units, nanos in db.session.execute(query.where(model.customer_id == customer_id)):
        found[key] = found.get(key, Decimal(0)) + quantities.joined(units, nanos)
    db.session.rollback()
    return found


def suspend(customer_id: int) -> None:
    """Suspend a customer, as an admin would."""
    suspensions.add(customer_id, SuspensionReason.ADMIN, "by hand")
    db.session.commit()


def start(browser: Browser, *, back: bool = True) -> None:
    """Press "Start pay as you go" and save a card; without `back` the browser is closed on Stripe's page."""
    browser.open("/usage")
    browser.press("Start pay as you go")
    card = {"number": CARD, "expiration": "12 / 34", "cvc": "123", "name": "Test Person", "zip": "94107"}
    browser.press("Save card", follow=back, **card)


def save_card(here: World, stripe_customer: str, card: str = "pm_card_visa") -> str:
    """Attach a card to a customer at Stripe, and return its id."""
    return str(here.stripe().v1.payment_methods.attach(card, {"customer": stripe_customer}).id)


def record(customer_id: int, *events: tuple[str, Any, str], at: datetime | None = None) -> None:
    """Record usage as the API does, by default in the middle of the last month. Commits."""
    moment = at or LAST.start + timedelta(days=14)
    made = [
        Event(meter=meter, quantity=Decimal(str(quantity)), identifier=name, timestamp=moment.isoformat())
        for name, quantity, meter in events
    ]
    usage_events.record(customer_id, reports.read(made, moment))
    db.session.commit()


def used(user: User, *events: tuple[str, Any, str]) -> int:
    """Record usage of a user who has a Stripe customer, and return the portal's customer's id. Commits."""
    customer = stripe_customers.of(user)
    db.session.commit()
    stripe_customers.at_stripe(customer)
    record(customer.id, *events)
    return customer.id


def run(app: Flask, *words: str) -> Any:
    """`flask bill-month`: its exit code and output."""
    return app.test_cli_runner().invoke(args=["bill-month", *words])


def bill_of(customer_id: int) -> MonthlyBill:
    """Return the customer's only bill, as it is now."""
    db.session.rollback()
    query = select(MonthlyBill).filter_by(customer_id=customer_id).execution_options(populate_existing=True)
    found = db.session.execute(query).scalar_one()
    db.session.commit()
    return found


def becomes(here: World, customer_id: int, state: str) -> None:
    """Wait until Stripe has charged the bill, and its webhooks have arrived."""

    def told() -> bool:
        here.flush()
        return bill_of(customer_id).state == state

    eventually(told)


def invoices(here: World, customer_id: int) -> list[Any]:
    """List the customer's invoices at Stripe, newest first."""
    query = select(StripeCustomer.stripe_id).filter_by(customer_id=customer_id)
    stripe_id = db.session.execute(query).scalar_one_or_none()
    db.session.rollback()
    if stripe_id is None:
        return []
    return list(here.stripe().v1.invoices.list({"customer": stripe_id}).data)


def lines_of(invoice: Any) -> dict[str, tuple[int, str]]:
    """Return amount and text of our lines on an invoice, by name."""
    return {line.metadata["line"]: (line.amount, line.description) for line in invoice.lines.data}


def subscriptions(here: World) -> list[Any]:
    """List the only customer's subscriptions at Stripe, including ended ones."""
    stripe_id = one(here, select(StripeCustomer.stripe_id))
    return list(here.stripe().v1.subscriptions.list({"customer": stripe_id, "status": "all"}).data)


def agreement_mails(here: World) -> list[str]:
    """List the templates of queued mails about an agreement and suspensions, oldest first."""
    with here.app.app_context():
        found = db.session.execute(select(OutboxMail.template).order_by(OutboxMail.id)).scalars()
        return [template for template in found if template in ("usage_started", "suspended", "reactivated")]
