"""Refunds and disputes take credits back in proportion, exactly, in any order; failed ones are undone."""

from itertools import permutations
from typing import Any

import pytest
import stripe
from sqlalchemy import select

from portal import gateway
from portal.credits import ledger
from portal.extensions import db
from portal.models import CreditEntry, Customer, OutboxMail, Payment
from portal.payments import reversal_sync
from tests.conftest import Person
from tests.support import events
from tests.support.credits import balance, buy, moves
from tests.support.world import World


def refund(here: World, intent: str, amount: int) -> stripe.Refund:
    return here.stripe().v1.refunds.create({"payment_intent": intent, "amount": amount})


@pytest.fixture
def paid(here: World, alice: Person) -> str:
    intent = buy(here, alice)
    here.flush()
    return intent


def test_a_full_refund_takes_all_of_it_once(here: World, paid: str) -> None:
    refund(here, paid, 4500)
    here.flush()
    here.flush()
    assert moves(here) == [("purchase", 5500), ("refund", -5500)]
    assert balance(here) == 0
    with here.app.app_context():
        payment = db.session.execute(select(Payment)).scalar_one()
        assert payment.amount_refunded == 4500
        mails = db.session.execute(select(OutboxMail.template)).scalars().all()
        assert mails.count("payment_reversed") == 1


def test_partial_refunds_are_exact_together(here: World, paid: str) -> None:
    for amount in (1, 1, 1000, 1499, 1999):
        refund(here, paid, amount)
        here.flush()
    assert balance(here) == 0
    assert len(moves(here)) == 6


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
def test_the_order_of_the_webhooks_does_not_matter(here: World, paid: str, order: tuple[int, ...]) -> None:
    mark = events.newest(here)
    made = [refund(here, paid, amount).id for amount in (333, 1000, 67)]
    raised = {e["data"]["object"]["id"]: e for e in events.since(here, mark) if e["type"] == "refund.created"}
    for number in order:
        assert events.deliver(here, raised[made[number]]).json()["status"] == "processed"
    assert balance(here) == 5500 - 1711  # 5500 × 1400 / 4500 = 1711.1
    with here.app.app_context():
        references = select(CreditEntry.reference).filter_by(reason="refund")
        assert set(db.session.execute(references).scalars()) == set(made)


def test_a_refund_heard_of_before_its_purchase_is_not_lost(here: World, alice: Person) -> None:
    alice.browser.open("/credits")
    alice.browser.press("Buy Basic")
    alice.browser.pay(follow=False)
    intent = here.stripe().v1.payment_intents.list({"limit": 1}).data[0].id
    mark = events.newest(here)
    refund(here, intent, 900)
    heard = next(event for event in events.since(here, mark) if event["type"] == "charge.refunded")
    assert events.deliver(here, heard).json()["status"] == "processed"
    assert moves(here) == [("purchase", 5500), ("refund", -1100)]
    here.flush()
    assert balance(here) == 4400


def test_what_was_spent_becomes_debt_that_the_next_purchase_pays(here: World, alice: Person, paid: str) -> None:
    with here.app.app_context():
        customer_id = db.session.execute(select(Customer.id)).scalar_one()
        ledger.spend(customer_id, 5000, "work")
        db.session.commit()
    refund(here, paid, 4500)
    here.flush()
    assert balance(here) == -5000
    for path in ("/billing", "/account", "/history", "/credits"):
        assert "You owe 5,000 credits" in alice.browser.open(path).text
        assert alice.browser.link("Buy credits") == "/credits#packages"
    alice.browser.press("Buy Basic")
    alice.browser.pay()
    assert balance(here) == 500
    assert "You owe" not in alice.browser.open("/credits").text


def facts(kind: str, name: str, amount: int, status: str) -> gateway.Reversal:
    from portal import clock

    return gateway.Reversal(name, kind, "ch_1", amount, status, clock.now())


def seen(here: World, paid: str, *found: gateway.Reversal) -> None:
    """A later fetch of the charge that finds these reversals."""
    from portal.sync import versions

    with here.app.app_context():
        charge_id = db.session.execute(select(Payment.charge_id)).scalar_one()
        assert charge_id is not None
        db.session.commit()
        charge = gateway.of("live").charge(charge_id)
        snapshot = reversal_sync.PaymentSnapshot("live", versions.take("live", charge_id), charge, found)
        assert reversal_sync.apply(snapshot) is not None
        db.session.commit()


@pytest.mark.both_databases
def test_a_refund_and_a_dispute_of_the_whole_take_it_once(here: World, paid: str) -> None:
    part, whole = facts("refund", "re_1", 900, "succeeded"), facts("dispute", "dp_1", 4500, "needs_response")
    seen(here, paid, part, whole)
    assert balance(here) == 0
    seen(here, paid, part, facts("dispute", "dp_1", 4500, "won"))
    assert balance(here) == 4400


def test_a_dispute_that_turns_twice_is_followed(here: World, paid: str) -> None:
    for status, expected in (("under_review", 0), ("won", 5500), ("lost", 0), ("won", 5500)):
        seen(here, paid, facts("dispute", "dp_1", 4500, status))
        assert balance(here) == expected
    with here.app.app_context():
        references = db.session.execute(select(CreditEntry.reference).order_by(CreditEntry.id)).scalars().all()
    assert references[1:] == ["dp_1", "dp_1", "dp_1:2", "dp_1:2"]


def test_a_stale_fetch_does_not_undo_a_newer_one(here: World, paid: str) -> None:
    with here.app.app_context():
        charge_id = db.session.execute(select(Payment.charge_id)).scalar_one()
        assert charge_id is not None
        db.session.commit()
        stale = reversal_sync.read("live", charge_id)
    refund(here, paid, 4500)
    here.flush()
    with here.app.app_context():
        reversal_sync.apply(stale)
        db.session.commit()
    assert balance(here) == 0


def test_a_refund_of_what_bought_no_credits_moves_none(here: World, bob: Person) -> None:
    mark = events.newest(here)
    intent = here.stripe().v1.payment_intents.list({"limit": 1}).data[0].id
    refund(here, intent, 100)
    raised = [e for e in events.since(here, mark) if e["type"] in ("charge.refunded", "refund.created")]
    assert len(raised) == 2
    for event in raised:
        assert events.deliver(here, event).json()["status"] == "processed"  # its invoice says so
    assert moves(here) == []


def test_a_refund_in_test_mode_never_touches_the_live_balance(here: World, paid: str) -> None:
    """The same words in the other lane name nothing there."""
    mark = events.newest(here)
    refund(here, paid, 900)
    event: dict[str, Any] = next(e for e in events.since(here, mark) if e["type"] == "refund.created")
    assert events.deliver(here, event | {"livemode": False}, mode="test").json()["status"] == "parked"
    assert balance(here) == 5500


def test_a_refund_event_that_failed_is_mended_by_its_redelivery(here: World, paid: str) -> None:
    mark = events.newest(here)
    refund(here, paid, 900)
    event = next(e for e in events.since(here, mark) if e["type"] == "refund.created")
    here.fail(next=2, status=500, path="/v1/refunds")
    assert events.deliver(here, event).status_code == 500
    assert balance(here) == 5500
    assert events.deliver(here, event).json()["status"] == "processed"
    assert balance(here) == 4400
