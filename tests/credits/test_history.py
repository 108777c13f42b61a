"""The history: one order over four tables, pages that stay fast, filters, and an export that runs no formulas."""

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Select, event, insert, text

from portal.credits import history, sources
from portal.credits.history import Filter
from portal.extensions import db
from portal.models import CreditEntry, Customer, Invoice, Payment, Purchase, Reversal
from portal.purchases import customers
from tests.conftest import Person
from tests.support.world import World

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def entry(customer_id: int, number: int, **changes: object) -> dict[str, object]:
    """A spend of one credit, `number` minutes after noon."""
    return {
        "customer_id": customer_id,
        "amount": -1,
        "balance_after": 1000 - number,
        "reason": "spend",
        "reference": f"call-{number}",
        "description": "A call",
        "created_at": NOON + timedelta(minutes=number),
    } | changes


def invoice(customer_id: int, number: int, **changes: object) -> dict[str, object]:
    """A paid invoice of the same minute."""
    return {
        "customer_id": customer_id,
        "mode": "live",
        "stripe_id": f"in_{customer_id}_{number}",
        "number": f"INV-{number:04}",
        "status": "paid",
        "total": 4999,
        "amount_paid": 4999,
        "amount_due": 0,
        "currency": "usd",
        "hosted_url": f"https://invoice.example/{number}",
        "created_at": NOON + timedelta(minutes=number),
        "synced_at": NOON,
    } | changes


def bought(customer_id: int, name: str = "Basic") -> tuple[int, int]:
    """A paid order of 5,500 credits and its payment; gives both ids."""
    order = Purchase(
        number=f"PO-{customer_id}-{name}"[:20],
        customer_id=customer_id,
        mode="live",
        kind="credits",
        item=name.lower(),
        name=name,
        amount=4500,
        currency="usd",
        credits=5500,
        params={},
        session_id=f"cs_{customer_id}_{name}",
        payment_intent=f"pi_{customer_id}_{name}",
        state="paid",
        paid_at=NOON,
        created_at=NOON,
    )
    db.session.add(order)
    db.session.flush()
    payment = Payment(
        customer_id=customer_id,
        mode="live",
        purchase_id=order.id,
        payment_intent=order.payment_intent,
        charge_id=f"ch_{customer_id}_{name}",
        amount=4500,
        currency="usd",
        credits=5500,
        amount_refunded=0,
        receipt_url="https://receipt.example/1",
        status="succeeded",
        created_at=NOON,
        synced_at=NOON,
    )
    db.session.add(payment)
    db.session.flush()
    return order.id, payment.id


def told_of(customer_id: int, order_id: int, name: str = "Basic") -> dict[str, object]:
    """The entry that gives what the order bought."""
    return entry(
        customer_id,
        0,
        amount=5500,
        balance_after=5500,
        reason="purchase",
        reference=f"cs_{customer_id}_{name}",
        description=name,
        purchase_id=order_id,
    )


def refunded(customer_id: int, payment_id: int, **changes: object) -> None:
    values = {
        "customer_id": customer_id,
        "mode": "live",
        "stripe_id": "re_1",
        "kind": "refund",
        "payment_id": payment_id,
        "amount": 900,
        "status": "succeeded",
        "created_at": NOON + timedelta(hours=1),
        "synced_at": NOON,
    }
    db.session.execute(insert(Reversal).values(**values | changes))


@pytest.fixture
def mine(app: Flask, alice: Person) -> Customer:
    """Alice's customer."""
    customer = customers.of(alice.user)
    db.session.commit()
    return customer


def add(*rows: dict[str, object]) -> None:
    for row in rows:
        db.session.execute(insert(Invoice if "stripe_id" in row else CreditEntry).values(**row))
    db.session.commit()


def walk(customer: Customer, wanted: Filter, size: int) -> Iterator[history.Row]:
    before = None
    while True:
        rows, before = history.page(customer, wanted, before, size)
        assert len(rows) <= size
        yield from rows
        if before is None:
            return
        before = history.Position.read(str(before))  # as a link carries it


@pytest.mark.parametrize("size", [1, 3, 7, 50])
def test_pages_show_every_row_once_in_one_order_also_where_moments_are_equal(mine: Customer, size: int) -> None:
    for number in range(12):
        moment = NOON + timedelta(minutes=number // 4)  # four of each table at a time
        add(entry(mine.id, number, created_at=moment), invoice(mine.id, number, created_at=moment))
    rows = list(walk(mine, Filter(), size))
    places = [(row.created_at, row.source, row.id) for row in rows]
    assert len(set(places)) == 24
    assert places == sorted(places, reverse=True)


def test_a_purchase_is_one_line_with_its_money_its_credits_and_its_receipt(mine: Customer) -> None:
    order, _ = bought(mine.id)
    add(told_of(mine.id, order))
    (row,) = walk(mine, Filter(), 50)
    assert (row.kind, row.description, row.amount, row.currency) == ("purchase", "Basic", 4500, "usd")
    assert (row.credits, row.balance, row.status) == (5500, 5500, "succeeded")
    assert row.url == "https://receipt.example/1"


def test_a_payment_whose_credits_are_not_there_yet_stands_by_itself(mine: Customer) -> None:
    bought(mine.id)
    (row,) = walk(mine, Filter(), 50)
    assert (row.kind, row.amount, row.credits) == ("payment", 4500, None)


def test_a_refund_is_one_line_once_the_ledger_tells_of_it_and_its_money_comes_back(mine: Customer) -> None:
    order, payment = bought(mine.id)
    add(told_of(mine.id, order))
    refunded(mine.id, payment, status="pending")
    kinds = [(row.kind, row.amount, row.credits, row.status) for row in walk(mine, Filter(kind="refunds"), 50)]
    assert kinds == [("refund", -900, None, "pending")]
    add(entry(mine.id, 60, amount=-1100, reason="refund", reference="re_1", purchase_id=order))
    kinds = [(row.kind, row.amount, row.credits, row.status) for row in walk(mine, Filter(kind="refunds"), 50)]
    assert kinds == [("refund", -900, -1100, "pending")]


def test_each_kind_shows_its_own_and_together_they_show_everything(mine: Customer) -> None:
    order, payment = bought(mine.id)
    refunded(mine.id, payment)
    add(told_of(mine.id, order), entry(mine.id, 1), invoice(mine.id, 2))
    add(entry(mine.id, 60, amount=-1100, reason="refund", reference="re_1", purchase_id=order))
    add(entry(mine.id, 61, amount=1100, reason="reinstatement", reference="re_1", purchase_id=order))
    add(entry(mine.id, 62, amount=50, reason="grant", reference="welcome"))
    kinds = {kind: [row.kind for row in walk(mine, Filter(kind=kind), 50)] for kind in sources.KINDS}
    assert kinds == {
        "purchases": ["purchase"],
        "spends": ["spend"],
        "refunds": ["reinstatement", "refund"],
        "grants": ["grant"],
        "invoices": ["invoice"],
    }
    assert len(list(walk(mine, Filter(), 50))) == sum(map(len, kinds.values()))


def test_search_takes_each_word_as_it_is_typed(mine: Customer) -> None:
    add(entry(mine.id, 1, description="50% of a Report"), entry(mine.id, 2, description="500 reports"))
    add(invoice(mine.id, 7))
    found = {words: [row.reference for row in walk(mine, Filter(words=words), 50)] for words in ("50%", "REPORT")}
    assert found == {"50%": ["call-1"], "REPORT": ["call-2", "call-1"]}
    assert [row.reference for row in walk(mine, Filter(words="report 50% call-1"), 50)] == ["call-1"]
    assert [row.reference for row in walk(mine, Filter(words="inv-0007"), 50)] == ["INV-0007"]
    assert not list(walk(mine, Filter(words="_"), 50))
    assert not list(walk(mine, Filter(words="/"), 50))


def test_days_are_the_reader_s_own(here: World, alice: Person, mine: Customer) -> None:
    late = datetime(2026, 11, 1, 23, 30, tzinfo=UTC)  # the 2nd in Berlin
    add(entry(mine.id, 1, created_at=late, description="Late call"))
    alice.user.timezone = "Europe/Berlin"
    db.session.commit()
    alice.browser.open("/history?since=2026-11-02&until=2026-11-02")
    assert "Late call" in alice.browser.text
    assert "2 November 2026, 00:30" in alice.browser.text
    alice.browser.open("/history?until=2026-11-01")
    assert "Nothing in your history fits this." in alice.browser.text


def test_an_empty_history_says_what_to_do_next(here: World, alice: Person) -> None:
    alice.browser.open("/history")
    assert "Nothing has happened yet" in alice.browser.text
    assert alice.browser.link("Buy credits") == "/credits"


def test_nobody_sees_somebody_else_s_history_nor_what_happened_in_test_mode(
    here: World, app: Flask, alice: Person, charlie: Person, mine: Customer
) -> None:
    practice = customers.of(alice.user, "test")
    add(entry(mine.id, 1, description="Mine"), entry(practice.id, 2, description="Practice"))
    for path in ("/history", "/history.csv"):
        assert "Mine" in alice.browser.open(path).text
        assert "Practice" not in alice.browser.page.text
        assert "Mine" not in charlie.browser.open(path).text


@pytest.mark.parametrize("path", ["/history", "/history.csv"])
def test_strangers_are_asked_to_sign_in(here: World, path: str) -> None:
    answer = here.app.test_client().get(path)
    assert answer.status_code == 303
    assert "/login" in answer.headers["Location"]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("kind=everything", "Not a valid choice"),
        ("since=yesterday", "Enter a date such as"),
        ("since=2026-02-30", "Enter a date such as"),
        ("since=2026-02-02&until=2026-02-01", "before the date that it begins with"),
        ("q=" + "x" * 101, "at most 100 characters"),
    ],
)
@pytest.mark.parametrize("path", ["/history", "/history.csv"])
def test_a_filter_that_makes_no_sense_is_refused_by_field(
    here: World, alice: Person, path: str, query: str, words: str
) -> None:
    assert alice.browser.open(f"{path}?{query}").status_code == 400
    assert words in alice.browser.text


@pytest.mark.parametrize(
    "cursor", ["x", "1-2", "1-9-1", "-1-0-1", "1-0-1;--", "9" * 18 + "-0-1", "1-0-" + "9" * 19]
)
def test_a_page_that_never_was_is_refused(here: World, alice: Person, cursor: str) -> None:
    assert alice.browser.open(f"/history?before={cursor}").status_code == 400
    assert "does not exist" in alice.browser.text


def exported(alice: Person, query: str = "") -> list[dict[str, str]]:
    answer = alice.browser.open(f"/history.csv{query}")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer.headers["Content-Disposition"]
    return list(csv.DictReader(io.StringIO(answer.text)))


def test_the_export_has_both_times_plain_numbers_and_no_formulas(
    here: World, alice: Person, mine: Customer
) -> None:
    alice.user.timezone = "Asia/Kathmandu"
    order, _ = bought(mine.id)
    add(told_of(mine.id, order))
    for number, words in enumerate(['=HYPERLINK("x")', "+1", "-1", "@SUM(1)", "\tx", " =1", "＝1", "a=b"], 1):
        add(entry(mine.id, number, description=words))
    rows = exported(alice)
    assert [row["Description"] for row in rows][::-1] == [
        "Basic", "'=HYPERLINK(\"x\")", "'+1", "'-1", "'@SUM(1)", "'\tx", "' =1", "'＝1", "a=b",
    ]  # fmt: skip
    oldest = rows[-1]
    assert oldest["Date (UTC)"] == "2026-11-01T12:00:00Z"
    assert oldest["Date (Asia/Kathmandu)"] == "2026-11-01 17:45:00"
    assert (oldest["Amount"], oldest["Currency"], oldest["Credits"]) == ("45.00", "USD", "5500")
    assert rows[0]["Credits"] == "-1"


def test_the_export_goes_beyond_a_batch_and_keeps_the_filter(
    here: World, alice: Person, mine: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "EXPORTED", 10)
    add(*(entry(mine.id, number) for number in range(25)), invoice(mine.id, 3))
    assert len(exported(alice)) == 26
    assert [row["Reference"] for row in exported(alice, "?kind=invoices")] == ["INV-0003"]


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


@pytest.fixture(scope="module")
def many() -> int:
    """Enough entries that a planner prefers an index."""
    return 20_000


@pytest.mark.parametrize("kind", ["", *sources.KINDS])
def test_no_page_reads_a_whole_table_or_more_of_it_than_a_page(
    app: Flask, mine: Customer, many: int, kind: str
) -> None:
    db.session.execute(insert(CreditEntry), [entry(mine.id, number, description="") for number in range(many)])
    db.session.execute(text("ANALYZE"))
    db.session.commit()
    before = history.Position(NOON + timedelta(minutes=many // 2), sources.ENTRY, 1)
    for wanted in (Filter(kind), Filter(kind, since=NOON, until=NOON + timedelta(days=400))):
        for position in (None, before):
            assert not full_scans(*history.query(mine, wanted, position, history.PAGE + 1))


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
