"""One busy account, 8 threads, both databases: no overdraft, no lost entry, no reference twice."""

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine
from flask import Flask

from portal import clock
from portal.credits import grants, ledger
from portal.extensions import db
from tests.support.books import a_customer, a_grant, assert_balanced, entries_of

pytestmark = pytest.mark.both_databases

THREADS, TURNS = 8, 15


@pytest.fixture
def dora(app: Flask) -> int:
    return a_customer()


def in_threads(app: Flask, work: Callable[[int, int], None]) -> None:
    """Run the work in all threads at once, with the thread's and the turn's number; a failure fails the test."""
    failures: list[BaseException] = []
    barrier = threading.Barrier(THREADS)

    def run(thread: int) -> None:
        barrier.wait()
        try:
            with app.app_context():
                for turn in range(TURNS):
                    work(thread, turn)
                    db.session.remove()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def try_to_spend(customer_id: int, credits: int, reference: str) -> None:
    """Spend and commit, or be refused."""
    try:
        ledger.spend(customer_id, credits, reference)
        db.session.commit()
    except ledger.InsufficientCredits:
        db.session.rollback()


def test_a_hot_account_is_never_overdrawn(app: Flask, dora: int) -> None:
    ledger.post(dora, 100, "purchase", "cs_1")
    db.session.commit()
    in_threads(app, lambda thread, turn: try_to_spend(dora, 3, f"{thread}-{turn}"))
    assert assert_balanced(dora) == 1  # 33 of 120 were covered
    assert len(entries_of(dora)) == 1 + 33


def test_no_entry_is_lost_among_spends_and_purchases(app: Flask, dora: int) -> None:
    ledger.post(dora, THREADS * TURNS, "purchase", "cs_0")
    db.session.commit()

    def work(thread: int, turn: int) -> None:
        if thread % 2:
            ledger.post(dora, 5, "purchase", f"cs_{thread}_{turn}")
            db.session.commit()
        else:
            try_to_spend(dora, 2, f"{thread}-{turn}")

    in_threads(app, work)
    half = THREADS // 2 * TURNS
    assert assert_balanced(dora) == THREADS * TURNS + half * 5 - half * 2
    assert len(entries_of(dora)) == 1 + THREADS * TURNS


def test_a_reference_that_all_use_at_once_is_taken_once(app: Flask, dora: int) -> None:
    ledger.post(dora, 100, "purchase", "cs_1")
    db.session.commit()

    def work(_thread: int, turn: int) -> None:
        assert ledger.spend(dora, 2, f"call-{turn}").amount == -2
        db.session.commit()
        ledger.post(dora, 1, "purchase", f"cs-{turn}")
        db.session.commit()

    in_threads(app, work)
    assert assert_balanced(dora) == 100 - TURNS
    assert len(entries_of(dora)) == 1 + 2 * TURNS


def test_grants_are_used_up_exactly_while_all_spend(app: Flask, dora: int) -> None:
    ledger.post(dora, 50, "purchase", "cs_1")
    a_grant(dora, 30, 5, "sooner")
    a_grant(dora, 30, 9, "later")
    in_threads(app, lambda thread, turn: try_to_spend(dora, 1, f"{thread}-{turn}") if turn < 9 else None)
    assert assert_balanced(dora) == 50 + 60 - 9 * THREADS
    assert grants.still_open(dora) == []


def test_an_expiry_among_spends_takes_what_is_left_once(app: Flask, dora: int) -> None:
    ledger.post(dora, 40, "purchase", "cs_1")
    a_grant(dora, 30, 5)
    with time_machine.travel(clock.now() + timedelta(days=6), tick=False):

        def work(thread: int, turn: int) -> None:
            if thread == 0:
                grants.sweep()
            else:
                try_to_spend(dora, 1, f"{thread}-{turn}")

        in_threads(app, work)
    assert assert_balanced(dora) == 0
    assert next(one for one in entries_of(dora) if one[0] == "expiry")[1] == -30
    assert len(entries_of(dora)) == 3 + 40
