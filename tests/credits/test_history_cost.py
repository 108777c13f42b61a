"""What a page of the history costs, however long it is."""

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import event

from portal.credits.history import sources, transactions
from portal.credits.history.transactions import Filter
from portal.extensions import db
from portal.models import Customer
from tests.conftest import Person
from tests.support import query_plans
from tests.support.transactions import NOON, add, entry
from tests.support.world import World

pytestmark = pytest.mark.both_databases
TABLES = {"credit_entries", "payments", "reversals", "invoices", "orders"}


def test_the_page_costs_the_same_queries_however_long_it_is(here: World, alice: Person, mine: Customer) -> None:
    add(entry(mine.id, 0))
    few = queries(alice)
    add(*(entry(mine.id, number) for number in range(1, 60)))
    assert queries(alice) == few <= 6


def queries(alice: Person) -> int:
    """Return how many statements opening the page runs."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        seen.append(statement)

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        assert alice.browser.open("/history").status_code == 200
    finally:
        event.remove(db.engine, "before_cursor_execute", note)
    return len([one for one in seen if one.lstrip().startswith(("SELECT", "UPDATE", "INSERT", "WITH"))])


def test_no_page_reads_a_whole_table_of_payments(app: Flask, mine: Customer) -> None:
    before = transactions.Position(NOON + timedelta(days=7), sources.ENTRY, 1)
    for kind in ("", *sources.KINDS):
        for wanted in (Filter(kind), Filter(kind, since=NOON, until=NOON + timedelta(days=400))):
            for position in (None, before):
                query = transactions.query(mine, wanted, position, transactions.PAGE + 1)
                (asked,) = query_plans.asked_by(lambda query=query: db.session.execute(*query).all())
                assert not query_plans.read_whole(asked) & TABLES, kind
