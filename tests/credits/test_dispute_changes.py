"""Refunds and disputes that change their result, from the card to the ledger, each by webhook."""

import pytest
from sqlalchemy import select

from portal.extensions import db
from portal.models import Reversal
from tests.conftest import Person
from tests.support.credits import balance, buy, moves
from tests.support.world import World

REFUND_FAILS = "4000 0000 0000 5126"
REFUND_PENDING = "4000 0000 0000 7726"
DISPUTED = "4000 0000 0000 0259"
INQUIRED = "4000 0000 0000 1976"
BOUGHT, DISPUTE, BACK = ("purchase", 5500), ("dispute", -5500), ("reinstatement", 5500)


def test_a_refund_that_fails_later_is_put_back(here: World, alice: Person) -> None:
    here.hold_settlements()
    intent = buy(here, alice, REFUND_FAILS)
    here.stripe().v1.refunds.create({"payment_intent": intent, "amount": 900})
    here.flush()
    assert moves(here) == [BOUGHT, ("refund", -1100)]
    assert "Refunded" in alice.browser.open("/history").text
    here.settle()
    here.flush()
    assert moves(here) == [BOUGHT, ("refund", -1100), ("reinstatement", 1100)]
    assert "Credits put back" in alice.browser.open("/history").text


def test_a_pending_refund_waits_in_the_history_and_takes_credits_when_it_succeeds(
    here: World, alice: Person
) -> None:
    here.hold_settlements()
    intent = buy(here, alice, REFUND_PENDING)
    here.stripe().v1.refunds.create({"payment_intent": intent, "amount": 900})
    here.flush()
    assert moves(here) == [BOUGHT]
    assert "Pending" in alice.browser.open("/history").text
    here.settle()
    here.flush()
    assert moves(here) == [BOUGHT, ("refund", -1100)]


def test_a_dispute_takes_the_credits_and_winning_it_puts_them_back(here: World, alice: Person) -> None:
    buy(here, alice, DISPUTED)
    here.flush()
    assert balance(here) == 0
    assert "Disputed" in alice.browser.open("/history").text
    dispute = newest_dispute(here)
    evidence = {"evidence": {"uncategorized_text": "winning_evidence"}, "submit": True}
    here.stripe().v1.disputes.update(dispute, evidence)
    here.flush()
    assert moves(here) == [BOUGHT, DISPUTE, BACK]
    assert balance(here) == 5500
    assert "Won" in alice.browser.open("/history").text


def test_a_lost_dispute_keeps_them(here: World, alice: Person) -> None:
    buy(here, alice, DISPUTED)
    here.stripe().v1.disputes.close(newest_dispute(here))
    here.flush()
    assert moves(here) == [BOUGHT, DISPUTE]


def test_an_inquiry_changes_nothing(here: World, alice: Person) -> None:
    buy(here, alice, INQUIRED)
    here.flush()
    assert moves(here) == [BOUGHT]
    with here.app.app_context():
        assert db.session.execute(select(Reversal.kind, Reversal.status)).one() == (
            "dispute",
            "warning_needs_response",
        )


def newest_dispute(here: World) -> str:
    return str(here.stripe().v1.disputes.list({"limit": 1}).data[0].id)


@pytest.mark.parametrize(("words", "end"), [("winning_evidence", [BACK]), ("losing_evidence", [])])
def test_an_inquiry_that_becomes_a_dispute_takes_the_credits_and_the_verdict_decides(
    here: World, alice: Person, words: str, end: list[tuple[str, int]]
) -> None:
    buy(here, alice, INQUIRED)
    for said, expected in (("escalate_inquiry_evidence", [BOUGHT, DISPUTE]), (words, [BOUGHT, DISPUTE, *end])):
        evidence = {"evidence": {"uncategorized_text": said}, "submit": True}
        here.stripe().v1.disputes.update(newest_dispute(here), evidence)
        here.flush()
        assert moves(here) == expected
