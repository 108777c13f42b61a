"""The ledger: append-only, each reference once, and the stored balance always matches the entries."""

from datetime import timedelta
from decimal import Decimal

import pytest
import time_machine
from flask import Flask
from sqlalchemy import select, text
from sqlalchemy.exc import DatabaseError

from portal import clock, jobs
from portal.credits import costs, grants, ledger
from portal.customers import owners, stripe_customers
from portal.errors import InvalidInput
from portal.extensions import db
from portal.models import CreditGrant
from tests.support.books import a_customer, a_grant, assert_balanced, entries_of

pytestmark = pytest.mark.both_databases


@pytest.fixture
def dora(app: Flask) -> int:
    return a_customer()


def remaining(grant_id: int) -> int:
    return db.session.execute(select(CreditGrant.remaining).filter_by(id=grant_id)).scalar_one()


def test_what_is_posted_stands_with_its_balance(dora: int) -> None:
    entry = ledger.post(dora, 5500, "purchase", "cs_1", description="Basic")
    db.session.commit()
    assert (entry.amount, entry.balance_after, entry.description) == (5500, 5500, "Basic")
    ledger.post(dora, -1000, "refund", "re_1")
    db.session.commit()
    assert entries_of(dora) == [("purchase", 5500, 5500), ("refund", -1000, 4500)]
    assert assert_balanced(dora) == ledger.balance(dora) == 4500


def test_the_same_reference_gives_the_entry_that_stands(dora: int) -> None:
    first = ledger.post(dora, 1000, "purchase", "cs_1")
    db.session.commit()
    again = ledger.post(dora, 1000, "purchase", "cs_1")
    db.session.commit()
    assert again.id == first.id
    assert assert_balanced(dora) == 1000


def test_the_same_reference_for_another_amount_is_refused(dora: int) -> None:
    ledger.post(dora, 1000, "purchase", "cs_1")
    db.session.commit()
    with pytest.raises(ledger.ReferenceReused):
        ledger.post(dora, 2000, "purchase", "cs_1")
    db.session.rollback()
    assert assert_balanced(dora) == 1000


def test_a_spend_s_reference_never_meets_ours_nor_another_customer_s(dora: int) -> None:
    emil = a_customer("emil")
    for customer_id in (dora, emil):
        ledger.post(customer_id, 1000, "purchase", "cs_1")
        ledger.spend(customer_id, 10, "cs_1")
    db.session.commit()
    assert assert_balanced(dora) == assert_balanced(emil) == 990


def test_test_mode_credits_never_show_in_the_live_balance(dora: int) -> None:
    in_test = a_customer("dora", mode="test")
    ledger.post(in_test, 1000, "purchase", "cs_test_1")
    db.session.commit()
    assert (ledger.balance(in_test), ledger.balance(dora)) == (1000, 0)
    with pytest.raises(ledger.InsufficientCredits):
        ledger.spend(dora, 1, "call-1")


def test_a_spend_is_covered_or_refused_whole(dora: int) -> None:
    ledger.post(dora, 100, "purchase", "cs_1")
    db.session.commit()
    assert ledger.spend(dora, 60, "call-1", "Summary").balance_after == 40
    db.session.commit()
    with pytest.raises(ledger.InsufficientCredits) as refused:
        ledger.spend(dora, 41, "call-2")
    db.session.rollback()
    assert (refused.value.extra["balance"], refused.value.extra["required"]) == (40, 41)
    assert refused.value.extra["top_up_url"].endswith("/credits")
    assert ledger.spend(dora, 40, "call-3").balance_after == 0
    db.session.commit()
    assert ledger.spend(dora, 60, "call-1").balance_after == 40  # answered as before, though nothing is left
    with pytest.raises(ledger.ReferenceReused):
        ledger.spend(dora, 61, "call-1")
    db.session.rollback()
    assert assert_balanced(dora) == 0


def test_debt_stops_spending_and_the_next_purchase_pays_it_first(dora: int) -> None:
    ledger.post(dora, 100, "purchase", "cs_1")
    ledger.spend(dora, 80, "call-1")
    ledger.post(dora, -100, "refund", "re_1")
    db.session.commit()
    assert assert_balanced(dora) == -80
    assert ledger.spendable(dora) == 0
    with pytest.raises(ledger.InsufficientCredits, match="80 credits are owed"):
        ledger.spend(dora, 1, "call-2")
    db.session.rollback()
    ledger.post(dora, 100, "purchase", "cs_2")
    db.session.commit()
    assert assert_balanced(dora) == ledger.spendable(dora) == 20


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE credit_entries SET amount = 1",
        "DELETE FROM credit_entries",
        "TRUNCATE credit_entries CASCADE",
        "INSERT OR REPLACE INTO credit_entries (id, customer_id, amount, balance_after, reason, reference,"
        " description, created_at) SELECT id, customer_id, 7, 7, reason, reference, description, created_at"
        " FROM credit_entries",
    ],
)
def test_the_database_refuses_to_change_an_entry(dora: int, change: str) -> None:
    spoken_by = {"TRUNCATE": "postgresql", "INSERT": "sqlite"}.get(change.split()[0], db.engine.dialect.name)
    if spoken_by != db.engine.dialect.name:
        return  # the other database does not know this way
    ledger.post(dora, 1000, "purchase", "cs_1")
    db.session.commit()
    with pytest.raises(DatabaseError, match="append-only"):
        db.session.execute(text(change))
    db.session.rollback()
    assert assert_balanced(dora) == 1000


def test_a_grant_is_spent_first_and_what_is_left_of_it_expires(dora: int) -> None:
    ledger.post(dora, 1000, "purchase", "cs_1")
    later, sooner = a_grant(dora, 100, 20, "later"), a_grant(dora, 100, 10, "sooner")
    ledger.spend(dora, 150, "call-1")
    db.session.commit()
    assert (remaining(sooner), remaining(later)) == (0, 50)
    assert assert_balanced(dora) == ledger.spendable(dora) == 1050
    with time_machine.travel(clock.now() + timedelta(days=21)):
        assert ledger.spendable(dora) == 1000
        db.session.commit()
        assert jobs.tick()["grants"] == 1
        assert jobs.tick()["grants"] == 0
    assert entries_of(dora)[-1] == ("expiry", -50, 1000)
    assert assert_balanced(dora) == 1000


def test_what_has_expired_is_never_spent_though_nobody_swept(dora: int) -> None:
    ledger.post(dora, 10, "purchase", "cs_1")
    a_grant(dora, 100, 10)
    with time_machine.travel(clock.now() + timedelta(days=11)):
        with pytest.raises(ledger.InsufficientCredits) as refused:
            ledger.spend(dora, 11, "call-1")
        assert refused.value.extra["balance"] == 10
        db.session.rollback()
        assert ledger.spend(dora, 10, "call-2").balance_after == 0
        db.session.commit()
    assert [reason for reason, _, _ in entries_of(dora)] == ["purchase", "grant", "expiry", "spend"]
    assert assert_balanced(dora) == 0


def test_a_grant_pays_debt_first_and_an_expiry_makes_none(dora: int) -> None:
    ledger.post(dora, -80, "refund", "re_1")
    paying = a_grant(dora, 100, 10, "first")
    assert (remaining(paying), assert_balanced(dora)) == (20, 20)
    ledger.post(dora, -50, "dispute", "dp_1")
    db.session.commit()
    with time_machine.travel(clock.now() + timedelta(days=11)):
        jobs.tick()
    assert remaining(paying) == 0
    assert assert_balanced(dora) == -30


def test_a_grant_of_the_same_reference_is_given_once(dora: int) -> None:
    assert a_grant(dora, 100, 10) == a_grant(dora, 100, 10)
    assert assert_balanced(dora) == 100


def test_a_grant_that_is_nothing_or_over_is_refused(dora: int) -> None:
    for credits, days in ((0, 1), (-5, 1), (5, 0), (5, -1)):
        with pytest.raises(InvalidInput):
            grants.give(dora, credits, clock.now() + timedelta(days=days), "no")
    with pytest.raises(InvalidInput):
        grants.give(dora, 5, clock.now() + timedelta(days=1), "no", note="x" * 256)
    assert entries_of(dora) == []


def test_the_command_grants_until_the_end_of_a_day(dora: int, app: Flask) -> None:
    until = f"{clock.now() + timedelta(days=30):%Y-%m-%d}"
    words = ["credits", "grant", "dora@example.com", "250", "--expires", until, "--note", "Welcome"]
    done = app.test_cli_runner().invoke(args=words)
    assert done.exit_code == 0, done.output
    assert "250 credits" in done.output
    assert assert_balanced(dora) == 250
    (grant,) = grants.still_open(dora)
    assert (f"{grant.expires_at:%Y-%m-%d %H:%M:%S.%f}", grant.note) == (f"{until} 23:59:59.999999", "Welcome")
    for wrong in (["nobody", "250"], ["dora@example.com", "0"]):
        refused = app.test_cli_runner().invoke(args=["credits", "grant", *wrong, "--expires", until])
        assert refused.exit_code != 0
    for_ever = app.test_cli_runner().invoke(args=[*words[:5], "9999-12-31"])
    assert (for_ever.exit_code, "more than a hundred years away" in for_ever.output) == (1, True), for_ever.output


@pytest.mark.parametrize(
    ("cost", "credits"),
    [("1", 115), ("0.01", 2), ("0.02", 3), ("0.0000001", 1), ("20", 2300), ("0.2", 23), ("0.20000001", 24)],
)
def test_a_cost_becomes_credits_with_the_markup(app: Flask, cost: str, credits: int) -> None:
    assert costs.credits_for(Decimal(cost)) == credits


def test_the_command_lets_credits_wait_for_who_proves_the_address_and_gives_them_once(app: Flask) -> None:
    until = f"{clock.now() + timedelta(days=30):%Y-%m-%d}"
    words = ["credits", "grant", "eve@example.com", "250", "--expires", until, "--reference", "moved-1"]
    for _ in range(2):
        done = app.test_cli_runner().invoke(args=words)
        assert (done.exit_code, "wait for whoever does" in done.output) == (0, True), done.output
    (waiting,) = owners.waiting("eve@example.com")
    found = stripe_customers.find(waiting)
    assert found is not None
    assert assert_balanced(found.id) == 250
