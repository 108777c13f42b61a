"""No concurrent write is lost: read, add, write, in 4 threads × 50 turns."""

import threading
from dataclasses import dataclass

import pytest
from flask import Flask
from sqlalchemy import select

from portal.customers import stripe_customers
from portal.extensions import db
from portal.models import Customer
from portal.sync import versions
from tests.conftest import Person

pytestmark = pytest.mark.both_databases

THREADS, TURNS = 4, 50


def in_threads(app: Flask, work) -> None:
    """Run the work in all threads at once; whatever one raises fails the test."""
    failures: list[BaseException] = []
    barrier = threading.Barrier(THREADS)

    def run() -> None:
        barrier.wait()
        try:
            with app.app_context():
                for _ in range(TURNS):
                    work()
                    db.session.remove()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_read_then_write_loses_nothing_under_the_row_s_lock(app: Flask, alice: Person) -> None:
    customer_id = stripe_customers.of(alice.user).id
    db.session.commit()

    def add_one() -> None:
        query = select(Customer).filter_by(id=customer_id).with_for_update(of=Customer, key_share=True)
        customer = db.session.execute(query).scalar_one()
        customer.credit_balance += 1
        db.session.commit()

    in_threads(app, add_one)
    db.session.expire_all()
    assert db.session.get(Customer, customer_id).credit_balance == THREADS * TURNS


def test_every_sync_gets_a_number_of_its_own(app: Flask) -> None:
    numbers: list[int] = []

    def take() -> None:
        numbers.append(versions.take("live", "sub_1"))

    in_threads(app, take)
    assert sorted(numbers) == list(range(1, THREADS * TURNS + 1))


@dataclass(frozen=True)
class Fetched:
    """A snapshot that was fetched under a number."""

    mode: str
    number: int
    ticket: str


def test_an_older_fetch_never_overwrites_a_newer_one(app: Flask) -> None:
    first, second = versions.take("live", "sub_1"), versions.take("live", "sub_1")
    assert versions.use(Fetched("live", second, "sub_1"))
    assert not versions.use(Fetched("live", first, "sub_1"))
    db.session.commit()
