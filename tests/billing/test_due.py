"""Scheduled tasks ask for what is due, along an index, however many rows there are."""

import re
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event, text

from portal import clock, mail
from portal.billing import cards, dunning, reminders, voiding
from portal.extensions import db
from portal.models import MonthlyBill
from portal.usage import bills
from tests.support.books import a_customer

GROWING = ("subscriptions", "invoices", "outbox_mails", "customers", "monthly_bills", "suspensions")


@pytest.mark.parametrize("the_world", ["sqlite"], indirect=True)  # by its query plans
@pytest.mark.parametrize(
    "ask",
    [
        reminders.run,
        dunning.run,
        voiding.run,
        bills.sweep,
        lambda: cards._running("live", "cus_1"),
    ],
    ids=["reminders", "dunning", "voiding", "overdue usage", "the webhook of a card"],
)
def test_no_growing_table_is_read_whole(app: Flask, ask: Any) -> None:
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith("SELECT"):
            asked.append((statement, parameters))

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        ask()
    finally:
        event.remove(db.engine, "before_cursor_execute", note)
    assert asked
    connection = db.session.connection()
    for statement, parameters in asked:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
        for step in plan:
            scanned = re.match(r"SCAN (\w+)(?! USING)", step[3])
            assert not (scanned and scanned[1] in GROWING and "USING" not in step[3]), (step[3], statement)


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
    assert bills.sweep() == 1
    assert bills.sweep() == 0
    assert db.session.execute(text("SELECT count(*) FROM suspensions")).scalar_one() == 1
