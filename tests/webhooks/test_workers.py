"""Workers: real Celery over a real Valkey. The rows are the queue, so no loss and no repetition matters."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest
import redis
import requests
from flask import Flask
from sqlalchemy import func, select

from portal import clock, jobs, workers
from portal.enums import Mode
from portal.extensions import db
from portal.models import Customer, OutboxMail, StripeEvent, UsageAgreement
from portal.sync import parked_events
from portal.webhooks import replays
from tests.conftest import Person
from tests.metrics.conftest import value
from tests.support import credits, events, servers, usage
from tests.support import workers as support
from tests.support.events import Json
from tests.support.looking import one
from tests.support.world import World, eventually

COMPLETED = "checkout.session.completed"
SOON = 2.0  # seconds: the answer, and one wait for Redis


@dataclass(frozen=True)
class Running:
    """A worker, its Redis, and the portal that hands over to it."""

    redis: redis.Redis
    url: str
    sends: workers.CeleryWorkers


@pytest.fixture(scope="module")
def one_worker(the_world: World) -> Iterator[tuple[redis.Redis, str]]:
    port = servers.free_port()
    with support.valkey(port) as client, support.worker(the_world, support.url(port)):
        yield client, support.url(port)


@pytest.fixture
def running(here: World, one_worker: tuple[redis.Redis, str]) -> Iterator[Running]:
    client, url = one_worker
    with support.handed_over(here, url) as sends:
        yield Running(client, url, sends)
    eventually(lambda: client.llen(workers.QUEUE) == 0)


@pytest.fixture
def nobody(here: World) -> Iterator[str]:
    """The portal hands over to a Redis that is not there."""
    with support.handed_over(here, support.url(servers.free_port())):
        yield ""


def paid(here: World, alice: Person) -> Json:
    """The event of a purchase of Alice's, not delivered."""
    mark = events.newest(here)
    credits.begin(alice, "Starter")
    alice.browser.pay(follow=False)
    return next(event for event in events.since(here, mark) if event["type"] == COMPLETED)


def row(here: World, event: Json) -> StripeEvent:
    with here.app.app_context():
        found = db.session.execute(select(StripeEvent).filter_by(event_id=event["id"])).scalar_one()
        db.session.remove()
        return found


def is_in(here: World, event: Json, state: str) -> bool:
    return row(here, event).state == state


def test_a_webhook_is_acknowledged_and_a_worker_handles_it_once(
    here: World, running: Running, alice: Person
) -> None:
    event = paid(here, alice)
    answer = events.deliver(here, event)
    assert (answer.status_code, answer.json()["status"]) == (200, "received")
    eventually(lambda: is_in(here, event, "processed"))
    assert row(here, event).next_look_at is None
    assert events.deliver(here, event).json()["status"] == "duplicate"
    for _ in range(3):  # a task that comes again
        running.sends.send("event", row(here, event).id)
    eventually(lambda: running.redis.llen(workers.QUEUE) == 0)
    assert row(here, event).attempts == 1
    assert credits.balance(here) == 1000
    assert len(credits.entries(here)) == 1


def test_what_a_worker_measures_is_in_the_metrics(here: World, running: Running, alice: Person) -> None:
    def asked() -> float:
        text = requests.get(f"{here.base}/metrics", timeout=60).text
        return value(text, "portal_stripe_calls_total", process="worker", outcome="answered", mode="live")

    event = paid(here, alice)
    before = asked()
    assert events.deliver(here, event).status_code == 200
    eventually(lambda: row(here, event).state == "processed")
    assert eventually(lambda: asked() > before)


def test_its_mail_is_sent_by_the_worker_at_once(here: World, running: Running, alice: Person) -> None:
    event = paid(here, alice)
    events.deliver(here, event)

    def is_sent() -> bool:
        with here.app.app_context():
            mails = db.session.execute(select(OutboxMail)).scalars().all()
            db.session.remove()
        return bool(mails) and all(mail.sent_at for mail in mails)

    eventually(is_sent)


def test_a_job_of_a_row_that_is_gone_and_one_of_another_version_do_no_harm(
    here: World, running: Running, alice: Person
) -> None:
    event = paid(here, alice)
    for kind, row_id in (("event", 10**9), ("mail", 10**9), ("bill", 10**9), ("of_the_next_version", 1)):
        running.sends.send(kind, row_id)
    running.sends.celery.send_task("portal.of_the_last_version", (1,), retry=False)
    assert events.deliver(here, event).json()["status"] == "received"
    eventually(lambda: is_in(here, event, "processed"))


def test_what_fails_is_retried_by_us(here: World, running: Running, alice: Person) -> None:
    event = paid(here, alice)
    here.fail(next=100, status=500)
    assert events.deliver(here, event).json()["status"] == "received"
    eventually(lambda: is_in(here, event, "failed"))
    failed = row(here, event)
    assert failed.failures == 1
    assert failed.error
    assert failed.next_look_at is not None
    wait = failed.next_look_at - failed.finished_at
    assert abs(wait - parked_events.FAILURE_WAITS[0]).total_seconds() < 30
    here.fail(next=0)
    support.make_late(here, "failed", hours=1)  # a busy machine may take longer than the real back-off
    support.tick(here)
    assert is_in(here, event, "failed")
    support.make_late(here, "failed")
    support.tick(here)
    eventually(lambda: is_in(here, event, "processed"))
    assert credits.balance(here) == 1000


def test_an_event_whose_task_was_lost_is_found_by_the_next_tick(
    here: World, running: Running, alice: Person
) -> None:
    event = paid(here, alice)
    with support.handed_over(here, support.url(servers.free_port())):
        assert events.deliver(here, event).json()["status"] == "received"
    with support.handed_over(here, running.url):
        support.tick(here)
        assert is_in(here, event, "received")
        support.make_late(here, "received")
        support.tick(here)
        eventually(lambda: is_in(here, event, "processed"))
    assert credits.balance(here) == 1000
    here.app.extensions[jobs.WORKERS] = running.sends


def test_two_ticks_at_once_do_everything_once(here: World, running: Running, alice: Person) -> None:
    event = paid(here, alice)
    with support.handed_over(here, support.url(servers.free_port())):
        events.deliver(here, event)
    here.app.extensions[jobs.WORKERS] = running.sends
    support.make_late(here, "received")
    for _ in range(2):
        running.sends.celery.send_task(workers.TICK, retry=False)
    eventually(lambda: is_in(here, event, "processed"))
    assert len(credits.entries(here)) == 1


@pytest.mark.parametrize("fault", ["refuses", "hangs"])
def test_without_redis_a_webhook_is_acknowledged_and_nobody_waits(here: World, alice: Person, fault: str) -> None:
    event, port = paid(here, alice), servers.free_port()
    with support.valkey(port) as client:
        process = client.info()["process_id"]
        if fault == "hangs":
            os.kill(process, signal.SIGSTOP)
        try:
            with support.handed_over(here, support.url(port if fault == "hangs" else servers.free_port())):
                began = time.monotonic()
                for _ in range(5):
                    assert events.deliver(here, event).json()["status"] == "received"
                assert time.monotonic() - began < SOON
        finally:
            if fault == "hangs":
                os.kill(process, signal.SIGCONT)
    assert is_in(here, event, "received")


def test_an_event_that_kills_its_workers_waits_longer_each_time_and_fails_in_the_end(
    here: World, alice: Person, nobody: str
) -> None:
    event = paid(here, alice)
    events.deliver(here, event)
    for attempt, wait in enumerate(parked_events.FAILURE_WAITS, 1):
        support.make_late(here, "received")
        support.tick(here)
        left = row(here, event)
        assert (left.state, left.attempts) == ("received", attempt)
        assert left.next_look_at is not None
        assert abs(left.next_look_at - left.received_at - wait).total_seconds() < 60
    support.make_late(here, "received")
    support.tick(here)
    poison = row(here, event)
    assert (poison.state, poison.next_look_at) == ("failed", None)
    assert "no worker finished it" in str(poison.error)


def test_back_without_workers_nothing_is_left(here: World, alice: Person) -> None:
    event = paid(here, alice)
    with support.handed_over(here, support.url(servers.free_port())):
        assert events.deliver(here, event).json()["status"] == "received"
    support.make_late(here, "received")
    support.tick(here)
    assert is_in(here, event, "processed")
    assert credits.balance(here) == 1000


def test_backfill_and_retry_hand_over(here: World, running: Running, alice: Person) -> None:
    event = paid(here, alice)
    with here.app.app_context():
        found = dict(replays.backfill(Mode.LIVE, clock.now() - timedelta(hours=1)))
        db.session.remove()
    assert found[event["id"]] == "received"
    eventually(lambda: is_in(here, event, "processed"))


def test_the_monthly_run_is_handed_over_bill_by_bill(
    here: World, running: Running, app: Flask, alice: Person
) -> None:
    usage.start(alice.browser)
    eventually(lambda: here.flush() or usage_runs(here))
    customer_id = one(here, select(Customer.id))
    usage.record(customer_id, ("a", "12.5", "cpu_hour"))
    db.session.commit()
    for _ in range(2):
        done = usage.run(app, str(usage.LAST))
        assert done.exit_code == 0, done.output
        usage.becomes(here, customer_id, "paid")
    made = [found.metadata.to_dict().get("kind") for found in usage.invoices(here, customer_id)]
    assert made.count("usage") == 1


def usage_runs(here: World) -> bool:
    return one(here, select(func.count(UsageAgreement.id)).where(UsageAgreement.subscription_id.is_not(None))) == 1


@pytest.mark.long
def test_a_worker_that_is_told_to_stop_ends_its_task(here: World, alice: Person) -> None:
    event, port = paid(here, alice), servers.free_port()
    with support.valkey(port), support.handed_over(here, support.url(port)):
        with support.worker(here, support.url(port)) as process:
            here.fail(next=1, status=200, delay=3)  # Stripe takes its time
            events.deliver(here, event)
            eventually(
                lambda: here.wire.get(f"{here.sandbox}/_config", timeout=10).json()["failures"]["next"] == 0
            )
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        assert is_in(here, event, "processed")


@pytest.mark.long
def test_a_worker_without_its_settings_says_what_it_needs(here: World) -> None:
    environment = support.environment(here, "redis://127.0.0.1:1/0") | {"JOBS": "inline"}
    log = here.app.extensions["settings"].instance_path / "refused.log"
    process: subprocess.Popen[bytes] = support.start(environment, "worker", log)
    assert process.wait(60) != 0
    assert "JOBS=celery" in log.read_text()
