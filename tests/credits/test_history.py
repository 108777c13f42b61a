"""The history: one order over four tables, every row once, each kind by itself, and search."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from portal.credits.history import sources, transactions
from portal.credits.history.transactions import Filter
from portal.models import Customer
from tests.support.transactions import NOON, add, bought, entry, invoice, refunded, told_of

pytestmark = pytest.mark.both_databases


def walk(customer: Customer, wanted: Filter, size: int) -> Iterator[transactions.Row]:
    before = None
    while True:
        rows, before = transactions.page(customer, wanted, before, size)
        assert len(rows) <= size
        yield from rows
        if before is None:
            return
        before = transactions.Position.read(str(before))  # as a link carries it


def test_a_search_reads_so_many_entries_for_a_page_and_goes_on_where_it_stopped(
    mine: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactions, "SEARCHED", 4)
    for number in range(20):
        moment = NOON + timedelta(minutes=number // 3)  # three at a time
        add(entry(mine.id, number, created_at=moment, description="Rare" if number in (1, 4) else "Common"))
    wanted = Filter(words="rare")
    rows, stopped = transactions.page(mine, wanted)
    assert (rows, stopped) == ([], transactions.Position(NOON + timedelta(minutes=5), sources.ENTRY, 0))
    assert [row.created_at for row in walk(mine, wanted, 50)] == [NOON + timedelta(minutes=1), NOON]
    assert transactions.page(mine, Filter(words="rare", since=NOON + timedelta(minutes=6))) == ([], None)
    assert len(list(walk(mine, Filter(words="common"), 2))) == 18


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
    add(entry(mine.id, 60, amount=-1100, reason="refund", reference="re_1", order_id=order))
    kinds = [(row.kind, row.amount, row.credits, row.status) for row in walk(mine, Filter(kind="refunds"), 50)]
    assert kinds == [("refund", -900, -1100, "pending")]


def test_each_kind_shows_its_own_and_together_they_show_everything(mine: Customer) -> None:
    order, payment = bought(mine.id)
    refunded(mine.id, payment)
    add(told_of(mine.id, order), entry(mine.id, 1), invoice(mine.id, 2))
    add(entry(mine.id, 60, amount=-1100, reason="refund", reference="re_1", order_id=order))
    add(entry(mine.id, 61, amount=1100, reason="reinstatement", reference="re_1", order_id=order))
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
