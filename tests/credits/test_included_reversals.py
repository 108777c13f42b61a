"""Included credits whose payment is refunded or disputed, what admins see of them, and what reconcile finds."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import delete, insert, select, update

from portal import clock
from portal.customers import given_plans, stripe_customers
from portal.extensions import db
from portal.models import CreditEntry, CreditGrant, Customer, Invoice, Payment, PeriodCredits, PlanPeriod
from portal.reconcile import included_credits
from tests.conftest import Person
from tests.credits.test_dispute_changes import newest_dispute
from tests.credits.test_included_year import differences
from tests.support.books import a_grant
from tests.support.credits import balance, moves
from tests.support.included import grants_of, include
from tests.support.world import World, changes_allowed

DISPUTED = "4000 0000 0000 0259"
GIVEN = ("grant", 20_000)


@pytest.fixture
def buyer(here: World, app: Flask, alice: Person) -> Person:
    """Alice, before she buys Pro, which includes 20,000 credits."""
    include("pro", credits=20_000)
    return alice


def buy(here: World, buyer: Person, card: str | None = None) -> str:
    """Buy Pro, and return its payment intent."""
    buyer.browser.choose("pro-monthly")
    buyer.browser.pay(*[card] if card else [])
    here.flush()
    intent: str = db.session.execute(select(Payment.stripe_id)).scalar_one()
    db.session.commit()
    return intent


def test_a_refund_that_fails_gives_back_what_it_took(here: World, buyer: Person) -> None:
    here.hold_settlements()
    intent = buy(here, buyer, "4000 0000 0000 5126")
    here.stripe().v1.refunds.create({"payment_intent": intent, "amount": 2500})
    here.flush()
    assert moves(here) == [GIVEN, ("refund", -10_002)]
    here.settle()
    here.flush()
    assert moves(here) == [GIVEN, ("refund", -10_002), ("reinstatement", 10_002)]


def test_a_dispute_takes_them_and_winning_it_puts_them_back(here: World, buyer: Person) -> None:
    buy(here, buyer, DISPUTED)
    assert moves(here) == [GIVEN, ("dispute", -20_000)]
    evidence = {"evidence": {"uncategorized_text": "winning_evidence"}, "submit": True}
    here.stripe().v1.disputes.update(newest_dispute(here), evidence)
    here.flush()
    assert balance(here) == 20_000


def test_bought_credits_stay_when_included_ones_are_taken_back(here: World, buyer: Person) -> None:
    intent = buy(here, buyer)
    customer = db.session.execute(select(Customer.id)).scalar_one()
    db.session.commit()
    a_grant(customer, 500, 3)
    here.stripe().v1.refunds.create({"payment_intent": intent})
    here.flush()
    assert balance(here) == 500
    assert [one.left for one in grants_of(customer)] == [0]


def test_a_plan_that_is_given_by_hand_gives_no_credits(app: Flask, buyer: Person) -> None:
    """Nothing was paid that a month could be counted from."""
    customer = stripe_customers.of(buyer.user, "live")
    given_plans.give(customer, "pro", None)
    db.session.commit()
    assert grants_of(customer.id) == []


def test_admins_see_what_was_given_and_for_which_invoice(here: World, buyer: Person, ada: Person) -> None:
    intent = buy(here, buyer)
    here.stripe().v1.refunds.create({"payment_intent": intent, "amount": 2500})
    here.flush()
    invoice = db.session.execute(select(Invoice.stripe_id)).scalar_one()
    db.session.commit()
    text = " ".join(ada.browser.open(f"/admin/customers/{buyer.user_id}").text.split())
    for words in ("Pro, 20,000 a month", invoice, "10,002 taken back unspent", "9,998"):
        assert words in text


def no_month() -> None:
    """A month was never given."""
    for model in (PeriodCredits, CreditGrant, CreditEntry):
        db.session.execute(delete(model))
    db.session.execute(update(Customer).values(credit_balance=0, has_grants=False))


def another_number() -> None:
    """The ledger has other credits than the month."""
    db.session.execute(update(PeriodCredits).values(credits=20_001))


def not_paid() -> None:
    """The invoice is paid, and the period says that it is not."""
    db.session.execute(update(Invoice).values(synced_at=clock.now() - timedelta(days=1)))
    db.session.execute(update(PlanPeriod).values(invoice_id=None))


def given_twice() -> None:
    """A second grant has the invoice's reference, and no month."""
    granted = CreditEntry.__table__.select().where(CreditEntry.reason == "grant")
    entry = {name: value for name, value in db.session.execute(granted).mappings().one().items() if name != "id"}
    again = insert(CreditEntry).values(entry | {"reference": f"{entry['reference']}:2"}).returning(CreditEntry.id)
    grant = dict(db.session.execute(CreditGrant.__table__.select()).mappings().one())
    del grant["id"]
    grant["entry_id"] = db.session.execute(again).scalar_one()
    db.session.execute(insert(CreditGrant).values(grant))


def not_taken_back() -> None:
    """A refund was counted on the payment, and its credits are still there."""
    db.session.execute(update(Payment).values(amount_refunded=4999, amount_withdrawn=4999))


@pytest.mark.parametrize(
    ("fault", "expected", "found"),
    [
        (no_month, "pro: credits of 1 months given", "0 months"),
        (another_number, "20001 credits", "an entry of 20000"),
        (not_paid, "pro: 20000 credits", "0 credits"),
        (given_twice, "no further credits", "20000 credits"),
        (not_taken_back, "20000 credits taken back", "4 credits"),
    ],
)
def test_reconcile_finds(
    here: World,
    buyer: Person,
    fault: Callable[[], None],
    expected: str,
    found: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(included_credits, "LATE", timedelta(0))
    intent = buy(here, buyer)
    here.stripe().v1.refunds.create({"payment_intent": intent, "amount": 1})
    here.flush()
    assert differences("live") == []
    with changes_allowed("credit_entries"):
        fault()
    db.session.commit()
    assert [(one.expected, one.found) for one in differences("live")] == [(expected, found)]
