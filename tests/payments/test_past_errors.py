"""Errors that a database may contain from earlier versions: `flask reconcile` lists them, and Resync corrects
them.
"""

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import delete, select, update

from portal import clock
from portal.billing.lifecycle import resync as lifecycle_resync
from portal.credits import entries, ledger
from portal.credits.top_ups import rules
from portal.extensions import db
from portal.models import (
    CreditEntry,
    CreditGrant,
    Customer,
    MonthlyBill,
    Payment,
    RefundRequest,
    Reversal,
    TopUpRule,
)
from portal.reconcile import in_database
from portal.reconcile.difference import REMEDIES, Difference
from tests.conftest import Person
from tests.support.books import a_customer, a_grant, assert_balanced
from tests.support.credits import buy
from tests.support.world import World

pytestmark = pytest.mark.both_databases


def found() -> list[tuple[str, str, str]]:
    """Return what the check of our own tables finds in live mode: what, expected, found."""
    db.session.expire_all()
    return [(one.what, one.expected, one.found) for one in in_database.differences("live")]


def resync(customer_id: int) -> None:
    lifecycle_resync.resync(db.session.get_one(Customer, customer_id))


def test_grants_above_the_balance_are_named_and_capped(app: Flask) -> None:
    customer = a_customer()
    ledger.post(customer, 1000, "adjustment", "paid")
    a_grant(customer, 500, 1)
    entries.post(customer, -1200, "refund", "re_1")  # as it was posted before grants were capped
    db.session.commit()
    assert found() == [("grants", "at most 300 credits expire", "500 credits")]
    resync(customer)
    assert found() == []
    assert assert_balanced(customer) == 300


def test_paid_credits_that_expired_are_named_and_put_back_once(app: Flask) -> None:
    customer = a_customer()
    ledger.post(customer, 1000, "adjustment", "paid")
    grant = a_grant(customer, 500, 1)
    ledger.spend(customer, 100, "call")  # of what expires first
    entries.post(customer, -1200, "refund", "re_1")
    ledger.post(customer, 1000, "adjustment", "again")
    entries.post(customer, -400, "expiry", f"grant:{grant}")  # 200 of them were paid for
    db.session.execute(update(CreditGrant).values(remaining=0))
    db.session.execute(update(Customer).values(has_grants=False))
    db.session.commit()
    assert found() == [("expiry", "200 credits expired", "400 credits")]
    resync(customer)
    resync(customer)
    assert found() == []
    assert assert_balanced(customer) == 1000


@pytest.fixture
def paid(here: World, app: Flask, bob: Person) -> int:
    """The customer id of Bob, who has a plan, and credits that were refunded in part."""
    intent = buy(here, bob)
    here.stripe().v1.refunds.create({"payment_intent": intent, "amount": 900})
    here.flush()
    assert found() == []
    return int(db.session.execute(select(Customer.id)).scalar_one())


def test_payments_that_are_not_known_are_named_and_fetched(here: World, paid: int) -> None:
    intents = set(db.session.execute(select(Payment.stripe_id)).scalars())
    db.session.execute(delete(Reversal))
    db.session.execute(delete(Payment))
    db.session.commit()
    assert [what for what, _, _ in found()] == ["payment", "payment"]
    resync(paid)
    assert found() == []
    assert set(db.session.execute(select(Payment.stripe_id)).scalars()) == intents
    assert db.session.execute(select(Reversal.withdrawn)).scalar_one() == 900


def test_a_sum_that_is_not_that_of_its_refunds_is_named(here: World, paid: int) -> None:
    """As the migration leaves it for an invoice: only the sum was kept."""
    intent = db.session.execute(select(Payment.stripe_id).filter_by(kind="subscription")).scalar_one()
    db.session.commit()
    here.stripe().v1.refunds.create({"payment_intent": intent, "amount": 3000})
    db.session.execute(update(Payment).filter_by(stripe_id=intent).values(amount_withdrawn=3000))
    db.session.commit()
    assert found() == [("payment", "0 withdrawn", "3000 withdrawn")]
    resync(paid)
    assert found() == []


def test_a_refund_that_failed_and_counts_as_given_is_named(here: World, paid: int) -> None:
    refund = db.session.execute(select(Reversal)).scalar_one()
    order = {"mode": "live", "customer_id": paid, "payment_intent": "pi", "amount": 900, "currency": "usd"}
    row = RefundRequest(nonce="form", state="done", stripe_id=refund.stripe_id, created_at=clock.now(), **order)
    db.session.add(row)
    refund.status, refund.withdrawn = "failed", 0
    db.session.commit()
    assert ("refund", "failed", "done") in found()


def test_a_top_up_that_goes_on_after_a_claw_back_is_named_and_paused(here: World, paid: int) -> None:
    rules.turn_on(paid, rules.Terms(1000, "basic", 10000))
    rule = db.session.execute(select(TopUpRule)).scalar_one()
    rule.consent_at = clock.now() - timedelta(days=1)
    db.session.commit()
    assert found() == [("top-up", "paused: credits were taken back", "on")]
    resync(paid)
    assert found() == []
    assert db.session.execute(select(TopUpRule.paused_reason)).scalar_one() == "taken_back"


def test_a_void_bill_that_kept_its_credits_is_named_and_gives_them_back(app: Flask) -> None:
    customer = a_customer()
    facts = {"mode": "live", "month": 202610, "amount": 100, "currency": "usd", "state": "void"}
    db.session.add(MonthlyBill(customer_id=customer, credits=40, created_at=clock.now(), **facts))
    db.session.commit()
    assert found() == [("bill", "void: 40 credits given back", "0 credits")]
    resync(customer)
    assert found() == []
    assert db.session.execute(select(CreditEntry.amount)).scalar_one() == 40


def test_every_difference_has_a_remedy() -> None:
    kinds = ("session", "order", "refund", "dispute", "subscription", "balance", "refunds", "payment", *REMEDIES)
    assert all(Difference("live", kind, "", "", "").remedy for kind in kinds)
