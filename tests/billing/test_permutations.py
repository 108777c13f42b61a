"""A year of one subscription on a test clock, its events delivered in any order, some of them twice."""

from collections.abc import Callable
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from portal import clock
from portal.customers import stripe_customers
from portal.extensions import db
from portal.models import Price, StripeCustomer
from portal.webhooks.handlers import HANDLERS
from tests.conftest import Person
from tests.support import events
from tests.support.stories import Story, in_order, shuffled, told
from tests.support.world import World, eventually

pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore:Generating overly large repr")]

BEGINS = datetime(2027, 1, 31, 12, tzinfo=UTC)
MONTH = 31 * 86400


def price(here: World, key: str) -> str:
    with here.app.app_context():
        found = db.session.execute(select(Price.test_price_id).filter_by(key=key)).scalar_one()
        db.session.remove()
        return str(found)


class Year:
    """Alice's subscription at Stripe in test mode, month by month; `raised` are its events."""

    def __init__(self, here: World, alice: Person) -> None:
        self.here, self.v1 = here, here.stripe("test").v1
        self.mark = events.newest(here, "test")
        self.raised: list[events.Json] = []
        self.clock = self.v1.test_helpers.test_clocks.create({"frozen_time": int(BEGINS.timestamp())}).id
        self.customer = self.v1.customers.create({"email": alice.email, "test_clock": self.clock}).id
        self.card("pm_card_visa")
        with here.app.app_context():
            customer = stripe_customers.of(alice.user, "test")
            name = StripeCustomer(customer_id=customer.id, mode="test", stripe_id=self.customer)
            name.created_at = clock.now()
            db.session.add(name)
            db.session.commit()
            self.before = events.photograph()
        item = {"price": price(here, "starter-monthly")}
        self.subscription = self.v1.subscriptions.create({"customer": self.customer, "items": [item]}).id

    def card(self, method: str) -> None:
        attached = self.v1.payment_methods.attach(method, {"customer": self.customer})
        self.v1.customers.update(self.customer, {"invoice_settings": {"default_payment_method": attached.id}})

    def move(self, key: str) -> None:
        """Change to another plan immediately."""
        item = self.v1.subscriptions.retrieve(self.subscription)["items"].data[0].id
        params: Any = {"items": [{"id": item, "price": price(self.here, key)}]}
        self.v1.subscriptions.update(self.subscription, params | {"proration_behavior": "always_invoice"})

    def plan(self, key: str) -> None:
        """Change to another plan at the next renewal."""
        made = self.v1.subscription_schedules.create({"from_subscription": self.subscription})
        now = made.phases[0]
        kept = {"items": [{"price": str(now["items"][0].price)}], "start_date": now.start_date}
        then = {"items": [{"price": price(self.here, key)}], "duration": {"interval": "month"}}
        phases: Any = [kept | {"end_date": now.end_date}, then]
        self.v1.subscription_schedules.update(made.id, {"phases": phases, "end_behavior": "release"})

    def update(self, **params: Any) -> None:
        self.v1.subscriptions.update(self.subscription, params)  # type: ignore[arg-type]

    def month(self, *done: Callable[[], None]) -> None:
        """Do this, then let a month pass, and collect the events."""
        for one in done:
            one()
        clocks = self.v1.test_helpers.test_clocks
        now = clocks.retrieve(self.clock).frozen_time
        clocks.advance(self.clock, {"frozen_time": now + MONTH})
        eventually(lambda: clocks.retrieve(self.clock).status == "ready")
        new = events.since(self.here, self.mark, "test")
        self.raised += new
        self.mark = new[-1]["id"] if new else self.mark


@pytest.fixture
def year(here: World, alice: Person) -> Story:
    """Upgrade, downgrade at a renewal, fail a payment, change the card, cancel, resume, and change to a yearly
    price.
    """
    lived = Year(here, alice)
    lived.month()
    lived.month(lambda: lived.move("pro-monthly"))
    lived.month(lambda: lived.plan("starter-monthly"))
    lived.month()
    lived.month(lambda: lived.card("pm_card_chargeCustomerFail"))
    lived.month(lambda: lived.card("pm_card_visa"))
    lived.month(lambda: lived.update(cancel_at_period_end=True), lambda: lived.update(cancel_at_period_end=False))
    for _ in range(4):
        lived.month()
    lived.month(lambda: lived.move("pro-yearly"))
    heard = [one for one in lived.raised if one["type"] in HANDLERS]  # the others are known to change nothing
    return in_order(here, Story(heard, lived.before, "test"))


@settings(
    max_examples=3,
    phases=[Phase.generate],
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(order=st.integers(0, 10**9))
def test_a_year_s_events_in_any_order_end_in_the_same_state(here: World, year: Story, order: int) -> None:
    assert year.expected["tier"] == "pro"
    [subscription] = year.expected["Subscription"]
    assert (subscription["status"], subscription["interval"]) == ("active", "year")
    assert len(year.expected["Invoice"]) > 12
    assert told(here, year, shuffled(year, Random(order))) == year.expected
