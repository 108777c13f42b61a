"""When parked events are checked again: a few times, and at once when what they name becomes ours."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
import time_machine
from flask import Flask
from sqlalchemy import select

from portal import clock
from portal.customers import stripe_customers
from portal.enums import Mode
from portal.extensions import db
from portal.models import Customer, EventState, StripeEvent
from portal.sync import parked_events
from portal.webhooks import replays
from tests.conftest import Person
from tests.support import events
from tests.support.books import a_customer
from tests.support.looking import one
from tests.support.world import World

pytestmark = pytest.mark.both_databases

FOREIGN = "cus_foreign"
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def a_parked_event(customer: str, name: str = "evt_1", *, attempts: int = 1) -> int:
    """An event about a customer at Stripe, as parking left it just now; gives its id. Commits."""
    now = clock.now()
    payload = (
        f'{{"id": "{name}", "type": "customer.updated", "created": 1, "livemode": true,'
        f' "data": {{"object": {{"id": "{customer}", "object": "customer"}}}}}}'
    )
    row = StripeEvent(
        mode=Mode.LIVE, event_id=name, type="customer.updated", object_id=customer, customer_ref=customer,
        state=EventState.PARKED, attempts=attempts, payload=payload, created_at=now, received_at=now,
        finished_at=now, next_look_at=now + parked_events.WAITS[0],
    )  # fmt: skip
    db.session.add(row)
    db.session.commit()
    return row.id


def next_look() -> timedelta | None:
    """How long until the only event is checked again."""
    at = db.session.execute(select(StripeEvent.next_look_at)).scalar_one()
    db.session.commit()
    return None if at is None else at - clock.now()


@contextmanager
def stopped() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(clock.now(), tick=False) as travel:
        yield travel


def test_a_stranger_s_event_is_checked_twice_and_then_left(app: Flask) -> None:
    with stopped() as travel:
        a_parked_event(FOREIGN)
        assert replays.sweep() == 0
        assert next_look() == MINUTE
        travel.shift(MINUTE)
        assert replays.sweep() == 0
        assert next_look() == HOUR - MINUTE
        travel.shift(HOUR)
        assert replays.sweep() == 0
        assert next_look() is None


@pytest.mark.parametrize("later", [MINUTE, DAY], ids=["soon", "long after its last check"])
def test_what_becomes_ours_is_handled_by_the_next_run(app: Flask, later: timedelta) -> None:
    with stopped() as travel:
        a_parked_event(FOREIGN)
        travel.shift(later)
        replays.sweep()
        customer = db.session.get_one(Customer, a_customer())
        stripe_customers.add_name(customer, FOREIGN, "dora@example.com")
        db.session.commit()
        assert next_look() == timedelta()
        assert replays.sweep() == 1


def test_what_becomes_ours_while_it_is_being_parked_is_handled_all_the_same(app: Flask) -> None:
    """The customer was written after the handler looked, and before the event was parked."""
    customer = db.session.get_one(Customer, a_customer())
    stripe_customers.add_name(customer, FOREIGN, "dora@example.com")
    db.session.commit()
    with stopped() as travel:
        a_parked_event(FOREIGN)
        assert replays.sweep() == 0
        travel.shift(MINUTE)
        assert replays.sweep() == 1


def test_an_event_that_stays_parked_is_tried_five_times(app: Flask) -> None:
    customer = db.session.get_one(Customer, a_customer())
    stripe_customers.add_name(customer, FOREIGN, "dora@example.com")
    db.session.commit()
    waited = []
    with stopped() as travel:
        a_parked_event(FOREIGN)  # Stripe does not know the customer, so it is parked again and again
        while (wait := next_look()) is not None:
            waited.append(wait)
            travel.shift(wait)
            assert replays.sweep() == 1
    assert waited == list(parked_events.WAITS)
    assert db.session.execute(select(StripeEvent.attempts)).scalar_one() == 1 + len(waited)


def test_an_event_that_fails_after_it_was_parked_is_tried_again(here: World, bob: Person) -> None:
    """It was answered 200, so that Stripe does not deliver it again."""
    name = here.stripe().v1.customers.list({"email": bob.email}).data[0].id
    mark = events.newest(here)
    here.stripe().v1.customers.update(name, {"name": "Bob"})
    [changed] = events.of_type(here, mark, "customer.updated")
    with here.app.app_context():
        known = stripe_customers.current(db.session.execute(select(Customer)).scalar_one())
        assert known is not None
        known.stripe_id = None
        db.session.commit()
    assert events.deliver(here, changed).json()["status"] == "parked"
    with here.app.app_context(), time_machine.travel(clock.now() + MINUTE, tick=False):
        known = stripe_customers.current(db.session.execute(select(Customer)).scalar_one())
        assert known is not None
        stripe_customers.confirm(known, name)
        db.session.commit()
        here.fail(next=9, path="/v1/customers", status=500)
        assert replays.sweep() == 1
    state = select(StripeEvent.state).filter_by(event_id=changed["id"])
    assert one(here, state) == "failed"
    here.fail(next=0)
    with here.app.app_context(), time_machine.travel(clock.now() + HOUR, tick=False):
        assert replays.sweep() == 1
    assert one(here, state) == "processed"
    assert one(here, select(StripeEvent.next_look_at).filter_by(event_id=changed["id"])) is None


@pytest.mark.parametrize("the_world", ["postgresql"], indirect=True)
def test_an_event_that_somebody_handles_just_now_keeps_nobody_waiting(app: Flask) -> None:
    event_id = a_parked_event(FOREIGN)
    customer_id = a_customer()
    with db.engine.begin() as other:
        other.execute(select(StripeEvent.id).where(StripeEvent.id == event_id).with_for_update())
        customer = db.session.get_one(Customer, customer_id)
        stripe_customers.add_name(customer, FOREIGN, "dora@example.com")  # would wait until a timeout
        db.session.commit()
        assert replays.sweep() == 0
