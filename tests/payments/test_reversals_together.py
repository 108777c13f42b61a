"""A refund of a part and a dispute of the rest withdraw no more than was paid, whatever comes first."""

import pytest
from sqlalchemy import select

from portal.models import Payment
from tests.conftest import Person
from tests.support.credits import balance, buy, moves
from tests.support.looking import one
from tests.support.reversals import decide, dispute, mails, refund
from tests.support.world import World

pytestmark = pytest.mark.both_databases


def test_a_dispute_after_a_refund_of_a_part_takes_no_more_than_was_paid(
    here: World, alice: Person, ada: Person
) -> None:
    intent = buy(here, alice)
    refund(here, intent, 900)
    assert balance(here) == 4400
    dispute(here, intent)
    assert (balance(here), one(here, select(Payment.amount_withdrawn))) == (0, 4500)
    decide(here, "winning")
    assert (balance(here), one(here, select(Payment.amount_withdrawn))) == (4400, 900)
    assert sum(amount for _, amount in moves(here)) == 4400
    assert [mail["back"] for mail in mails(here, "payment_reversed")] == [False, False, True]


def test_a_refund_after_a_dispute_is_won_counts_what_stands(here: World, alice: Person, ada: Person) -> None:
    intent = buy(here, alice)
    refund(here, intent, 900)
    dispute(here, intent)
    decide(here, "losing")
    assert balance(here) == 0
    ada.browser.open(f"/admin/customers/{alice.user_id}/refund?payment={one(here, select(Payment.id))}")
    assert "Disputed $" in ada.browser.text
