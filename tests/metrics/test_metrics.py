"""`/metrics`: who may read it, and what it shows of what happened."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import requests
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import update
from sqlalchemy.exc import OperationalError

from portal import clock, jobs
from portal.enums import Mode
from portal.errors import PortalError
from portal.extensions import db
from portal.figures import report
from portal.metrics import deliveries, views
from portal.models import Customer, DailyFigure, Payment, StripeEvent, Subscription
from tests.billing.test_dunning import carol as carol
from tests.conftest import Person
from tests.credits.test_top_ups import keen as keen
from tests.metrics.conftest import Read, value
from tests.support import events, servers
from tests.support.books import a_customer
from tests.support.clocked import Clocked
from tests.support.open_calls import CUT, FAILED
from tests.support.reversals import give_back
from tests.support.world import World, gunicorn
from tests.sync.test_open_refunds import payment as payment

TOKEN = "scrape-0123456789abcdef0123456789"


@pytest.fixture
def production(here: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Settings of production, with a token."""
    given = here.app.extensions["settings"].model_copy(
        update={"environment": "production", "metrics_token": TOKEN}
    )
    monkeypatch.setitem(here.app.extensions, "settings", given)
    return


@pytest.mark.parametrize(
    ("sent", "status"),
    [(None, 401), ("Bearer wrong", 401), (f"Basic {TOKEN}", 401), (TOKEN, 401), (f"Bearer {TOKEN}", 200)],
)
@pytest.mark.usefixtures("production")
def test_production_asks_for_the_token(here: World, sent: str | None, status: int) -> None:
    headers = {"Authorization": sent} if sent else {}
    answer = requests.get(f"{here.base}/metrics", headers=headers, timeout=60)
    assert answer.status_code == status
    assert ("portal_database_up" in answer.text) == (status == 200)
    assert TOKEN not in answer.text


@pytest.mark.usefixtures("production")
def test_production_without_a_token_answers_nobody(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    given = here.app.extensions["settings"].model_copy(update={"metrics_token": None})
    monkeypatch.setitem(here.app.extensions, "settings", given)
    for sent in ("", "Bearer", "Bearer None", "Bearer "):
        answer = requests.get(f"{here.base}/metrics", headers={"Authorization": sent}, timeout=60)
        assert answer.status_code == 401, sent


def test_development_answers_this_machine_alone(here: World) -> None:
    client = here.app.test_client()
    assert client.get("/metrics").status_code == 200
    assert client.get("/metrics", environ_overrides={"REMOTE_ADDR": "203.0.113.9"}).status_code == 401


@pytest.mark.both_databases
def test_a_purchase_is_counted(here: World, read: Read, alice: Person) -> None:
    live = {"mode": "live"}
    before = {name: read(name, **live) for name in ("portal_payments_total", "portal_checkouts_paid_total")}
    answered = read("portal_stripe_calls_total", outcome="answered", **live)
    alice.browser.buy("pro-monthly")
    assert read("portal_webhook_deliveries_total", type="invoice.paid", outcome="done") == 0
    here.flush()
    assert read("portal_payments_total", outcome="succeeded", **live) == before["portal_payments_total"] + 1
    assert read("portal_checkouts_created_total", kind="plan", **live) == 1
    assert read("portal_checkouts_completed_total", kind="plan", **live) == 1
    assert read("portal_checkouts_paid_total", kind="plan", **live) == before["portal_checkouts_paid_total"] + 1
    assert read("portal_webhook_deliveries_total", type="invoice.paid", outcome="done", **live) >= 1
    assert read("portal_subscriptions", status="active", **live) == 1
    assert read("portal_stripe_calls_total", outcome="answered", **live) > answered
    assert read("portal_request_seconds_count", endpoint="billing.checkout") >= 1
    assert read("portal_database_up") == 1


@pytest.mark.both_databases
def test_a_booked_subscription_is_in_the_mrr(here: World, read: Read, bob: Person) -> None:
    with here.app.app_context():
        db.session.execute(update(Subscription).values(mrr_since=clock.now() - timedelta(hours=1)))
        db.session.commit()
        assert jobs.tasks["mrr"]() == 1
    assert read("portal_mrr", mode="live", currency="usd") == 4999
    assert read("portal_plan_changes_total", mode="live", **{"from": "free", "to": "pro"}) == 1
    assert read("portal_subscription_movements_total", mode="live", kind="new") == 1


def test_each_failed_attempt_to_pay_an_invoice_is_counted_once(read: Read, carol: Clocked) -> None:
    carol.advance(days=28, hours=2)
    assert read("portal_payments_total", mode="test", outcome="failed") == 1
    carol.advance(days=4)
    assert read("portal_payments_total", mode="test", outcome="failed") == 2
    assert read("portal_payments_total", mode="live", outcome="failed") == 0


FAULTS = [  # of a call to Stripe; what it is counted as; and as a call that moves money
    (CUT, "no_answer", "error"),
    (FAILED, "server_error", "error"),
    ({"next": 9, "status": 409}, "unavailable", "unavailable"),
    ({"next": 9, "status": 402}, "refused", "refused"),
    ({"next": 9, "status": 403}, "key_refused", "key_refused"),
]


@pytest.mark.parametrize(("fault", "outcome", "money"), FAULTS)
def test_the_outcome_of_a_call_that_moves_money(
    here: World, read: Read, payment: Payment, fault: dict[str, Any], outcome: str, money: str
) -> None:
    def counted() -> list[float]:
        return [
            read("portal_stripe_calls_total", mode="live", outcome=outcome),
            read("portal_payment_calls_total", mode="live", outcome=money),
            read("portal_payment_calls_total", mode="live"),
        ]

    before = counted()
    here.fail(**{"path": "/v1/refunds", "method": "POST", **fault})
    with pytest.raises(PortalError):
        give_back(payment)
    db.session.rollback()
    assert [after - earlier for after, earlier in zip(counted(), before, strict=True)] == [1, 1, 1]
    here.calm()


def test_what_was_sent_twice_is_an_idempotency_hit(here: World, read: Read, bob: Person) -> None:
    before = read("portal_idempotency_hits_total", kind="webhook")
    event = events.of_type(here, "", "invoice.paid")[0]
    for _ in range(2):
        assert events.deliver(here, event).status_code == 200
    assert read("portal_idempotency_hits_total", kind="webhook") >= before + 1
    assert read("portal_webhook_deliveries_total", type="invoice.paid", outcome="duplicate") >= 1


@pytest.mark.both_databases
def test_debt_and_what_is_left_are_summed(app: Flask, read: Read) -> None:
    for name, balance in (("dora", -30), ("emil", -12), ("fred", 500)):
        db.session.execute(update(Customer).filter_by(id=a_customer(name)).values(credit_balance=balance))
    db.session.commit()
    assert read("portal_credit_debt", mode="live") == 42
    assert read("portal_customers_in_debt", mode="live") == 2
    assert read("portal_credits_outstanding", mode="live") == 500


def _event(number: int, days: float, **more: Any) -> StripeEvent:
    at = clock.now() - timedelta(days=days)
    facts = {"mode": "live", "type": "invoice.paid", "object_id": "in_1", "payload": "{}", "state": "processed"}
    return StripeEvent(**{**facts, "event_id": f"evt_{number}", "created_at": at, "received_at": at, **more})


@pytest.mark.both_databases
def test_days_that_are_over_are_summed_once_and_the_total_never_falls(app: Flask) -> None:
    ages = (40, 39.9, 10, 6, 3, 0.1)
    db.session.add_all([_event(n, age, attempts=3, failures=1, duplicates=2) for n, age in enumerate(ages)])
    db.session.commit()
    before = dict(deliveries.totals())
    key = ("live", "invoice.paid")
    assert [before[(*key, outcome)] for outcome in ("done", "failed", "duplicate")] == [12, 6, 12]
    db.session.commit()
    assert jobs.tasks["webhook sums"]() in (3, 4)  # 40 and 39.9 days may be one day
    assert jobs.tasks["webhook sums"]() == 0
    assert dict(deliveries.totals()) == before
    db.session.query(StripeEvent).filter(StripeEvent.received_at < clock.now() - timedelta(days=5)).update(
        {"attempts": 9}
    )
    assert dict(deliveries.totals()) == before  # what is summed is not read again
    db.session.add(_event(99, 0, attempts=1, failures=1, state="failed"))
    db.session.flush()
    assert deliveries.totals()[("live", "invoice.paid", "failed")] == 7


def test_sums_of_webhooks_are_no_business_figure(app: Flask) -> None:
    db.session.add_all([_event(1, 40, attempts=1)])
    db.session.commit()
    jobs.tasks["webhook sums"]()
    assert db.session.query(DailyFigure).count() > 0
    assert report.months(Mode.LIVE, clock.now()) == {}


def test_the_queues_show_what_waits_and_for_how_long(app: Flask, read: Read) -> None:
    db.session.add_all([_event(1, 0.5, state="failed"), _event(2, 2, state="parked")])
    db.session.commit()
    assert read("portal_webhook_queue_events", mode="live", state="failed") == 1
    assert read("portal_webhook_queue_events", mode="live", state="parked") == 1
    assert 43_200 <= read("portal_webhook_queue_age_seconds", mode="live") < 44_000


def test_without_its_database_it_says_so_and_still_answers(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise OperationalError("SELECT 1", {}, Exception("down"))

    monkeypatch.setattr("portal.metrics.collector.reading", refuse)
    monkeypatch.setattr(views, "REMEMBERED", 0)
    text = requests.get(f"{here.base}/metrics", timeout=60).text
    assert value(text, "portal_database_up") == 0
    assert "portal_mrr" not in text
    assert "portal_request_seconds_count" in text


def test_each_metric_is_in_the_documents(here: World, bob: Person, read: Read) -> None:
    assert read("portal_database_up") == 1
    text = requests.get(f"{here.base}/metrics", timeout=60).text
    found = {
        family.name + "_total" * (family.type == "counter") for family in text_string_to_metric_families(text)
    }
    page = (servers.ROOT / "docs" / "monitoring.md").read_text()
    table = page[page.index("| metric |") : page.index("The last six")]
    assert found == set(re.findall(r"`(portal_\w+)`", table))


def test_nothing_of_a_customer_is_shown(here: World, bob: Person, read: Read) -> None:
    assert read("portal_subscriptions", mode="live", status="active") == 1
    text = requests.get(f"{here.base}/metrics", timeout=60).text
    assert not re.search(r"@|cus_|sub_|[sr]k_(live|test)|whsec_|key_(live|test)", text)


def test_two_processes_add_up_and_a_start_begins_at_nothing(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, port = 40, servers.free_port()
    monkeypatch.setattr(servers, "free_port", lambda: port)
    folder = here.app.extensions["settings"].instance_path / "metrics" / f"web-{port}"
    folder.mkdir(parents=True)
    stale = folder / f"counter_{2**22 + 1}.db"  # of no process
    stale.write_text("of an earlier start")
    with gunicorn(here, "wsgi:app", "-w", "2") as base:
        assert not stale.exists()
        for _ in range(asked):
            requests.get(f"{base}/healthz", timeout=60)
        texts = [requests.get(f"{base}/metrics", timeout=60).text for _ in range(6)]
        counts = [value(text, "portal_request_seconds_count", endpoint="health.healthz") for text in texts]
        assert set(counts) <= {asked, asked + 1}, counts  # one more while waiting for the start
        assert len({text[text.index("# HELP portal_database_up") :] for text in texts}) == 1
        assert len(list(folder.glob("histogram_*.db"))) <= 3
    before = sorted(folder.rglob("*"))
    assert here.app.test_cli_runner().invoke(args=["tick"]).exit_code == 0
    assert sorted(folder.rglob("*")) == before
