"""The history page: its owner, its time zone, and the filters that it refuses."""

from datetime import UTC, datetime

import pytest
from flask import Flask
from flask.testing import FlaskClient

from portal.credits.history import transactions
from portal.customers import stripe_customers
from portal.extensions import db
from portal.models import Customer
from tests.conftest import Person
from tests.support import browsing
from tests.support.credits import begin
from tests.support.transactions import add, entry
from tests.support.world import World

BAD_IBAN = "AT861904300235473202"  # takes the debit, and fails when it is settled


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
    practice = stripe_customers.of(alice.user, "test")
    add(entry(mine.id, 1, description="Mine"), entry(practice.id, 2, description="Practice"))
    for path in ("/history", "/history.csv"):
        assert "Mine" in alice.browser.open(path).text
        assert "Practice" not in alice.browser.page.text
        assert "Mine" not in charlie.browser.open(path).text


@pytest.mark.parametrize("path", ["/history", "/history.csv"])
def test_strangers_are_asked_to_sign_in(client: FlaskClient, path: str) -> None:
    answer = client.get(path)
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


def test_a_declined_card_stands_as_declined_until_another_one_pays(here: World, alice: Person) -> None:
    begin(alice)
    alice.browser.pay(browsing.DECLINED)
    assert "declined" in alice.browser.text
    here.flush()
    checkout = alice.browser.page
    alice.browser.open("/history?kind=purchases")
    assert "Payment 5,500 credits" in alice.browser.text
    assert "Declined" in alice.browser.text
    assert "Receipt" not in alice.browser.text
    alice.browser.page = checkout
    alice.browser.pay()
    here.flush()
    alice.browser.open("/history")
    assert "Declined" not in alice.browser.text
    assert "Credits bought 5,500 credits" in alice.browser.text


def test_a_long_search_says_how_far_it_came_and_goes_on(
    alice: Person, mine: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactions, "SEARCHED", 1)
    days = [datetime(2026, 11, day, tzinfo=UTC) for day in (1, 2, 3)]
    add(*(entry(mine.id, day.day, created_at=day, description=f"Call {day.day}") for day in days))
    alice.browser.open("/history?q=Call+1")
    assert "Searched back to 2 November 2026" in alice.browser.text
    alice.browser.open(alice.browser.link("Search further back"))
    assert "Call 1" in alice.browser.text
    assert "Searched back" not in alice.browser.text


def test_a_bank_debit_stands_as_processing_and_then_as_what_came_of_it(here: World, alice: Person) -> None:
    here.hold_settlements()
    begin(alice)
    alice.browser.pay(iban=BAD_IBAN, method="sepa_debit", number="")
    assert "Payment Processing" in alice.browser.text
    here.flush()
    alice.browser.open("/history")
    assert "Payment 5,500 credits" in alice.browser.text
    assert "Processing" in alice.browser.text
    here.settle()
    here.flush()
    alice.browser.open("/history")
    assert "Declined" in alice.browser.text
    assert "Processing" not in alice.browser.text
