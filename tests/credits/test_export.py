"""The export: both times, plain numbers, and no formulas."""

import csv
import io

import pytest

from portal.credits.history import transactions
from portal.models import Customer
from tests.conftest import Person
from tests.support.transactions import add, bought, entry, invoice, told_of
from tests.support.world import World


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
    monkeypatch.setattr(transactions, "EXPORTED", 10)
    add(*(entry(mine.id, number) for number in range(25)), invoice(mine.id, 3))
    assert len(exported(alice)) == 26
    assert [row["Reference"] for row in exported(alice, "?kind=invoices")] == ["INV-0003"]
