"""Scheduled tasks query what is due along an index, for any number of rows."""

import re
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, text

from portal import clock, jobs, mail
from portal.billing import card_sync
from portal.extensions import db
from portal.models import CreditGrant, Customer, MonthlyBill, StripeEvent
from portal.usage.monthly_run import bill_states
from tests.support import query_plans
from tests.support.books import a_customer

# Tables of the catalogue, and of a few rows.
SMALL = {
    "billing_runs",
    "credit_packages",
    "meters",
    "operator_keys",
    "payment_links",
    "plans",
    "portal_configurations",
    "prices",
}
TASKS = (
    "mails",
    "mail contents",
    "refresh tokens",
    "sessions",
    "devices",
    "sign-in links",
    "addresses",
    "deletions",
    "open calls",
    "order invoices",
    "refunds",
    "trials",
    "dunning",
    "voiding",
    "plan changes",
    "slow payments",
    "price changes",
    "spend limits",
    "reminders",
    "second plans",
    "stale copies",
    "grants",
    "given plans",
    "included credits",
    "included credits used",
    "included units",
    "top-ups",
    "low balance",
    "spend limits",
    "overdue usage",
    "usage corrections",
    "bills",
    "events",
    "erasure",
    "event payloads",
    "webhook sums",
    "alerts",
    "audit seals",
    "mrr",
)
# The newest rows, which are found at the end of an index without a condition.
FROM_THE_END = {
    "alerts": {"daily_figures"},
    "webhook sums": {"daily_figures"},
    "audit seals": {"audit_entries", "audit_seals"},
}
IN_BATCHES = (
    "addresses",
    "bills",
    "deletions",
    "devices",
    "dunning",
    "erasure",
    "event payloads",
    "events",
    "given plans",
    "grants",
    "included credits",
    "included credits used",
    "low balance",
    "mail contents",
    "mails",
    "mrr",
    "open calls",
    "order invoices",
    "overdue usage",
    "plan changes",
    "price changes",
    "refresh tokens",
    "refunds",
    "second plans",
    "sessions",
    "sign-in links",
    "slow payments",
    "spend limits",
    "top-ups",
    "stale copies",
    "trials",
    "usage corrections",
    "voiding",
)


@pytest.fixture(autouse=True)
def told(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody to send alerts to; otherwise nothing is looked for."""
    settings = app.extensions["settings"].model_copy(update={"alerts_to": ("mailto:ops@example.com",)})
    monkeypatch.setitem(app.extensions, "settings", settings)


def test_each_task_is_looked_at(app: Flask) -> None:
    assert set(TASKS) == set(jobs.tasks)


@pytest.mark.both_databases
@pytest.mark.parametrize("name", TASKS)
def test_a_task_reads_no_growing_table_whole(app: Flask, name: str) -> None:
    asked = query_plans.asked_by(jobs.tasks[name])
    assert asked
    for one in asked:
        assert query_plans.read_whole(one) <= SMALL | FROM_THE_END.get(name, set()), one.statement


@pytest.mark.parametrize("name", IN_BATCHES)
def test_a_task_takes_so_many_at_once(app: Flask, name: str) -> None:
    for one in query_plans.asked_by(jobs.tasks[name]):
        assert "LIMIT" in one.statement or query_plans.tables(one) <= SMALL


def test_deletions_join_each_table_once(app: Flask) -> None:
    (asked,) = query_plans.asked_by(jobs.tasks["deletions"])
    joined = re.findall(r"\b(?:FROM|JOIN) (\w+)", asked.statement)
    assert sorted(joined) == ["customers", "stripe_customers", "users"]


@pytest.mark.both_databases
def test_the_webhook_of_a_card_reads_no_growing_table_whole(app: Flask) -> None:
    for one in query_plans.asked_by(lambda: card_sync._running("live", "cus_1")):
        assert not query_plans.read_whole(one), one.statement


@pytest.mark.both_databases
def test_a_table_that_is_read_whole_is_found(app: Flask) -> None:
    whole = [
        select(StripeEvent.id).where(StripeEvent.payload == "x"),
        select(StripeEvent.id).order_by(StripeEvent.id).limit(1),
        select(StripeEvent).where(StripeEvent.id > 7).limit(1),
    ]
    for query in whole:
        for one in query_plans.asked_by(lambda query=query: db.session.execute(query).all()):
            assert query_plans.read_whole(one) == {"stripe_events"}


@pytest.mark.parametrize("the_world", ["sqlite"], indirect=True)  # PostgreSQL begins with who is on a clock
def test_an_index_of_what_goes_on_is_no_index_of_what_is_due(app: Flask) -> None:
    on_a_clock = select(CreditGrant.id).join(Customer, Customer.id == CreditGrant.customer_id)
    on_a_clock = on_a_clock.where(CreditGrant.remaining > 0, CreditGrant.expires_at <= Customer.clock_at)
    query = on_a_clock.order_by(CreditGrant.expires_at).limit(1)
    (asked,) = query_plans.asked_by(lambda: db.session.execute(query).all())
    assert query_plans.read_whole(asked) == {"credit_grants"}


def test_more_keys_are_asked_for_than_one_statement_takes(app: Flask) -> None:
    keys = [f"card-expiring:{number}" for number in range(70_000)]
    assert mail.unsaid(keys) == keys


def test_who_is_suspended_for_an_unpaid_bill_is_not_looked_at_again(app: Flask) -> None:
    customer_id = a_customer()
    facts: dict[str, Any] = {"mode": "live", "amount": 1, "currency": "usd", "credits": 0, "state": "unpaid"}
    since = clock.now() - timedelta(days=30)
    for month in (202601, 202602):
        db.session.add(
            MonthlyBill(customer_id=customer_id, month=month, unpaid_since=since, created_at=since, **facts)
        )
    db.session.commit()
    assert bill_states.sweep() == 1
    assert bill_states.sweep() == 0
    assert db.session.execute(text("SELECT count(*) FROM suspensions")).scalar_one() == 1
