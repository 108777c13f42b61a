"""What becomes of an event: its states, its failures and its second deliveries. Webhooks are sent by hand."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import func, select, update

from portal import clock, jobs
from portal.customers import access
from portal.extensions import db
from portal.models import Customer, Invoice, Order, StripeEvent, Subscription
from tests.conftest import Person
from tests.support import events
from tests.support.events import Json
from tests.support.world import World, eventually

pytestmark = pytest.mark.both_databases

THREADS = 8


@pytest.fixture
def bought(here: World, alice: Person) -> dict[str, Json]:
    """The events of Alice's purchase, by type; none was delivered, and no page was opened."""
    mark = events.newest(here)
    alice.browser.choose("pro-monthly")
    alice.browser.pay(follow=False)
    return {event["type"]: event for event in events.since(here, mark)}


@pytest.fixture
def flask(here: World) -> Callable[..., str]:
    """`flask …`: its output."""

    def run(*words: str) -> str:
        result = here.app.test_cli_runner().invoke(args=words)
        assert result.exit_code == 0, result.output
        return str(result.output)

    return run


def status(here: World, event: Json) -> str:
    answer = events.deliver(here, event)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["status"])


def row(here: World, event: Json) -> StripeEvent:
    with here.app.app_context():
        return db.session.execute(select(StripeEvent).filter_by(event_id=event["id"])).scalar_one()


def counts(here: World) -> tuple[int, ...]:
    with here.app.app_context():
        return tuple(
            db.session.execute(select(func.count()).select_from(model)).scalar_one()
            for model in (Order, Subscription, Invoice)
        )


def foreign(here: World) -> tuple[Json, Any]:
    """An event about a subscription on the same Stripe account that this portal never sold, and its customer."""
    mark = events.newest(here)
    stripe = here.stripe().v1
    customer = stripe.customers.create({"email": "elsewhere@example.com"})
    method = stripe.payment_methods.attach("pm_card_visa", {"customer": customer.id})
    product = stripe.products.create({"name": "Another shop's"})
    price = {"product": product.id, "currency": "usd", "unit_amount": 500, "recurring": {"interval": "month"}}
    stripe.subscriptions.create(
        {"customer": customer.id, "items": [{"price_data": price}], "default_payment_method": method.id}
    )
    found = {event["type"]: event for event in events.since(here, mark)}
    return found["customer.subscription.created"], customer


def test_a_handled_event_is_processed_and_its_effects_are_there(here: World, bought: dict[str, Json]) -> None:
    event = bought["checkout.session.completed"]
    assert status(here, event) == "processed"
    kept = row(here, event)
    assert (kept.state, kept.attempts, kept.error) == ("processed", 1, None)
    assert kept.finished_at is not None
    assert counts(here)[:2] == (1, 1)


def test_a_redelivery_of_what_is_done_does_nothing(here: World, bought: dict[str, Json]) -> None:
    event = bought["invoice.paid"]
    assert [status(here, event) for _ in range(3)] == ["processed", "duplicate", "duplicate"]
    assert row(here, event).attempts == 1


def test_an_event_that_nobody_handles_is_kept_as_ignored(here: World, bought: dict[str, Json]) -> None:
    event = bought["charge.succeeded"]
    assert status(here, event) == "ignored"
    assert row(here, event).state == "ignored"
    assert status(here, event) == "duplicate"


def test_an_event_about_somebody_else_s_subscription_is_parked(here: World) -> None:
    event, customer = foreign(here)
    assert status(here, event) == "parked"
    kept = row(here, event)
    assert (kept.state, kept.customer_ref) == ("parked", customer.id)
    assert "no customer of ours" in (kept.error or "")
    assert counts(here) == (0, 0, 0)


def test_a_parked_event_is_handled_when_it_comes_again(here: World) -> None:
    event, _ = foreign(here)
    assert [status(here, event), status(here, event)] == ["parked", "parked"]
    assert row(here, event).attempts == 2


def test_an_event_about_what_stripe_does_not_know_is_parked(here: World, bought: dict[str, Json]) -> None:
    event = bought["customer.subscription.created"]
    thing = event["data"]["object"] | {"id": "sub_neverWas"}
    event = event | {"id": "evt_poison", "data": {"object": thing}}
    assert status(here, event) == "parked"
    assert "unknown to Stripe" in (row(here, event).error or "")


def test_a_claim_in_the_payload_is_not_believed(here: World, bought: dict[str, Json]) -> None:
    """The payload is a hint of what to ask about: what it says is never written."""
    event = bought["customer.subscription.created"]
    thing = event["data"]["object"] | {"status": "canceled", "ended_at": 1}
    assert status(here, event | {"data": {"object": thing}}) == "processed"
    with here.app.app_context():
        assert db.session.execute(select(Subscription.status)).scalar_one() == "active"


def test_a_failed_handler_says_so_and_the_redelivery_mends_it(here: World, bought: dict[str, Json]) -> None:
    event = bought["customer.subscription.created"]
    here.fail(next=2, status=500, path="/v1/subscriptions")
    answer = events.deliver(here, event)
    assert answer.status_code == 500
    assert answer.headers["Content-Type"] == "application/problem+json"
    kept = row(here, event)
    assert (kept.state, kept.attempts) == ("failed", 1)
    assert kept.error is not None
    assert kept.error.startswith("StripeUnavailable")
    assert counts(here)[1] == 0
    assert status(here, event) == "processed"
    kept = row(here, event)
    assert (kept.state, kept.attempts, kept.error) == ("processed", 2, None)


def test_stripe_s_own_retries_end_well(here: World, bought: dict[str, Json]) -> None:
    here.fail(next=8, status=500, path="/v1/")
    here.flush()
    here.fail(next=0)
    here.deliveries(hold=False)
    here.flush()
    eventually(lambda: _states(here) == {"processed", "ignored"})  # the last retry may still be handled


def _states(here: World) -> set[str]:
    with here.app.app_context():
        return set(db.session.execute(select(StripeEvent.state)).scalars())


def test_a_failure_never_covers_a_success(here: World, bought: dict[str, Json]) -> None:
    """Two deliveries at once: the slow one fails after the fast one has succeeded."""
    event = bought["customer.subscription.created"]
    here.fail(next=1, path="/v1/subscriptions", delay=0.6, status=400)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(events.deliver, here, event)
        while not _taken(here):
            pass
        assert status(here, event) == "processed"
        assert slow.result().status_code == 500
    kept = row(here, event)
    assert (kept.state, kept.error) == ("processed", None)


def _taken(here: World) -> bool:
    import requests

    failures = requests.get(f"{here.sandbox}/_config", timeout=30).json()["failures"]
    return int(failures["next"]) == 0


def test_eight_deliveries_at_once_have_their_effects_once(here: World, bought: dict[str, Json]) -> None:
    event, start = bought["checkout.session.completed"], Barrier(THREADS)

    def deliver(_: int) -> str:
        start.wait()
        return status(here, event)

    with ThreadPoolExecutor(THREADS) as pool:
        answers = list(pool.map(deliver, range(THREADS)))
    assert sorted(answers) == ["duplicate"] * (THREADS - 1) + ["processed"]
    assert counts(here)[:2] == (1, 1)
    assert row(here, event).attempts == 1


def leave_received(here: World, event: Json, age: timedelta) -> None:
    """Leave a row as a process does that is killed before its effects."""
    from portal.webhooks import hints, inbox

    with here.app.app_context():
        body = events.body(event).encode()
        inbox._store("live", hints.parse(body), body)
        db.session.execute(update(StripeEvent).values(received_at=clock.now() - age))
        db.session.commit()


def test_after_a_crash_the_redelivery_mends_it(here: World, bought: dict[str, Json]) -> None:
    event = bought["checkout.session.completed"]
    leave_received(here, event, timedelta(0))
    assert counts(here)[1] == 0
    assert status(here, event) == "processed"
    assert counts(here)[1] == 1


def test_after_a_crash_the_sweep_mends_it_but_not_what_is_under_way(here: World, bought: dict[str, Json]) -> None:
    event = bought["checkout.session.completed"]
    leave_received(here, event, timedelta(seconds=30))
    with here.app.app_context():
        assert jobs.tasks["events"]() == 0
    leave_received(here, event, timedelta(minutes=2))
    with here.app.app_context():
        assert jobs.tasks["events"]() == 1
        assert jobs.tasks["events"]() == 0
    assert row(here, event).state == "processed"
    assert counts(here)[1] == 1


def test_the_sweep_goes_on_after_one_that_fails(here: World, bought: dict[str, Json]) -> None:
    left = [bought["customer.subscription.created"], bought["invoice.paid"]]
    for event in left:
        leave_received(here, event, timedelta(minutes=2))
    here.fail(next=2, status=500, path="/v1/subscriptions")
    with here.app.app_context():
        jobs.tick()
    assert [row(here, event).state for event in left] == ["failed", "processed"]


def test_retry_handles_what_failed(here: World, bought: dict[str, Json], flask: Callable[..., str]) -> None:
    event = bought["invoice.paid"]
    here.fail(next=2, status=500, path="/v1/invoices")
    assert events.deliver(here, event).status_code == 500
    assert f"{event['id']}  processed" in flask("events", "retry")
    assert row(here, event).state == "processed"
    assert flask("events", "retry") == ""


def test_replay_repairs_a_row_that_was_lost(
    here: World, bought: dict[str, Json], flask: Callable[..., str]
) -> None:
    event = bought["customer.subscription.created"]
    assert status(here, event) == "processed"
    with here.app.app_context():
        db.session.execute(Subscription.__table__.delete())
        db.session.commit()
    assert flask("events", "replay", event["id"]) == f"{event['id']}  processed\n"
    assert counts(here)[1] == 1
    with here.app.app_context():
        assert access.of(db.session.execute(select(Customer)).scalar_one()).tier == "pro"


def test_the_list_shows_each_event_s_state(
    here: World, bought: dict[str, Json], flask: Callable[..., str]
) -> None:
    done, unheard = bought["invoice.paid"], bought["charge.succeeded"]
    status(here, done)
    status(here, unheard)
    everything = flask("events", "list").splitlines()
    assert len(everything) == 2
    assert unheard["id"] in everything[0]
    only = flask("events", "list", "--state", "processed", "--mode", "live")
    assert done["id"] in only
    assert "invoice.paid" in only
    assert unheard["id"] not in only
    assert flask("events", "list", "--mode", "test") == ""


def test_showing_an_event_masks_what_is_secret_or_personal(
    here: World, bought: dict[str, Json], flask: Callable[..., str]
) -> None:
    event = bought["checkout.session.completed"]
    thing = event["data"]["object"] | {"client_secret": "cs_secret_1", "note": "sk_live_abcdefgh12345678"}
    status(here, event | {"data": {"object": thing}})
    shown = flask("events", "show", event["id"])
    assert "processed" in shown
    assert thing["id"] in shown
    for private in ("alice@example.com", "Test Person", "94107", "cs_secret_1", "sk_live_"):
        assert private not in shown, private


def test_an_unknown_event_is_named(here: World) -> None:
    for command in ("show", "replay"):
        result = here.app.test_cli_runner().invoke(args=["events", command, "evt_never"])
        assert result.exit_code == 1
        assert "evt_never" in result.output
