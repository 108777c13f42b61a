"""The mail about a low balance: off by default, once each time the balance falls."""

from collections.abc import Callable

import pytest
from sqlalchemy import select

from portal.credits import ledger, low_balance
from portal.extensions import db
from portal.models import Customer, OutboxMail
from tests.conftest import Person
from tests.support.books import a_customer
from tests.support.world import World


def post(here: World, amount: int, reference: str) -> None:
    """Post a change of the balance."""
    with here.app.app_context():
        customer_id = db.session.execute(select(Customer.id)).scalar_one()
        ledger.post(customer_id, amount, "adjustment", reference)
        db.session.commit()


@pytest.fixture
def warned(here: World, alice: Person) -> Callable[[], int]:
    """Alice has 500 credits and wants a mail below 400; returns the task."""
    alice.browser.open("/credits")
    alice.browser.press("Save", low_balance_at="400")
    assert "below 400 credits" in alice.browser.text
    post(here, 500, "start")

    def run() -> int:
        with here.app.app_context():
            return low_balance.run()

    return run


def test_a_low_balance_is_mailed_once_each_time_it_falls(here: World, warned: Callable[[], int]) -> None:
    assert warned() == 0
    post(here, -101, "a")
    assert [warned(), warned()] == [1, 0]
    post(here, -100, "b")
    assert warned() == 0
    post(here, 500, "c")
    assert warned() == 0
    post(here, -500, "d")
    assert [warned(), warned()] == [1, 0]
    with here.app.app_context():
        assert len(db.session.execute(select(OutboxMail).filter_by(template="low_balance")).all()) == 2


def test_the_ledger_of_somebody_else_has_no_part_in_it(here: World, warned: Callable[[], int]) -> None:
    post(here, -101, "a")
    with here.app.app_context():
        ledger.post(a_customer(), 5, "adjustment", "newer than every entry of hers")
        db.session.commit()
    assert [warned(), warned()] == [1, 0]


def test_the_low_balance_mail_can_be_turned_off(here: World, alice: Person, warned: Callable[[], int]) -> None:
    alice.browser.open("/credits")
    alice.browser.press("Save", low_balance_at="")
    post(here, -400, "a")
    assert warned() == 0
