"""What a page of the history costs, however long it is."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Select, event, insert, text

from portal.credits import history, sources
from portal.credits.history import Filter
from portal.extensions import db
from portal.models import CreditEntry, Customer
from tests.conftest import Person
from tests.support.transactions import NOON, add, entry
from tests.support.world import World

pytestmark = pytest.mark.both_databases


def test_the_page_costs_the_same_queries_however_long_it_is(here: World, alice: Person, mine: Customer) -> None:
    add(entry(mine.id, 0))
    few = queries(alice)
    add(*(entry(mine.id, number) for number in range(1, 60)))
    assert queries(alice) == few <= 6


def queries(alice: Person) -> int:
    """How many statements a look at the page takes."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        seen.append(statement)

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        assert alice.browser.open("/history").status_code == 200
    finally:
        event.remove(db.engine, "before_cursor_execute", note)
    return len([one for one in seen if one.lstrip().startswith(("SELECT", "UPDATE", "INSERT", "WITH"))])


MANY = 20_000  # entries, enough that a planner prefers an index


def test_no_page_reads_a_whole_table_or_more_of_it_than_a_page(app: Flask, mine: Customer) -> None:
    db.session.execute(insert(CreditEntry), [entry(mine.id, number, description="") for number in range(MANY)])
    db.session.execute(text("ANALYZE"))
    db.session.commit()
    before = history.Position(NOON + timedelta(minutes=MANY // 2), sources.ENTRY, 1)
    for kind in ("", *sources.KINDS):
        for wanted in (Filter(kind), Filter(kind, since=NOON, until=NOON + timedelta(days=400))):
            for position in (None, before):
                assert not full_scans(*history.query(mine, wanted, position, history.PAGE + 1)), kind


TABLES = ("credit_entries", "payments", "reversals", "invoices", "purchases")


def full_scans(statement: Select[Any], values: dict[str, Any]) -> list[str]:
    """The steps of the plan that read a table from end to end."""
    sent: list[tuple[str, Any]] = []

    def note(_connection: object, _cursor: object, sql: str, parameters: object, *_rest: object) -> None:
        sent.append((sql, parameters))

    event.listen(db.engine, "before_cursor_execute", note)
    db.session.execute(statement, values).all()
    event.remove(db.engine, "before_cursor_execute", note)
    run = db.session.connection().exec_driver_sql
    (sql, parameters) = sent[-1]
    if db.engine.dialect.name == "sqlite":
        steps = [row[3] for row in run(f"EXPLAIN QUERY PLAN {sql}", parameters)]
        return [step for step in steps if step.startswith("SCAN ") and step.split()[1] in TABLES]
    # A table of no rows is read whole by choice; the ledger may not be.
    return [row[0] for row in run(f"EXPLAIN {sql}", parameters) if "Seq Scan on credit_entries" in row[0]]
