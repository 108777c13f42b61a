"""Usage that is taken back after its bill: a credit note, once; what credits paid comes back as credits."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from portal import clock
from portal.credits import ledger
from portal.extensions import db
from portal.models import (
    AuditEntry,
    CreditEntry,
    Customer,
    MonthlyBill,
    StripeCustomer,
    UsageCorrection,
    UsageSettings,
)
from portal.usage.monthly_run import corrections
from tests.conftest import Person
from tests.support.books import a_customer, assert_balanced
from tests.support.looking import count, one
from tests.support.operators import ask, operator_key
from tests.support.usage import LAST, becomes, bill_of, invoices, record, run, start
from tests.support.world import World

pytestmark = pytest.mark.both_databases


def void(here: World, key: str, customer_id: int, identifier: str) -> Any:
    body = {"customer": str(customer_id), "identifier": identifier, "reason": "Counted twice"}
    return ask(here, "POST", "/api/v1/usage/void", key, json=body)


def notes(here: World, customer_id: int) -> list[Any]:
    """List the credit notes of the customer's usage bill, oldest first."""
    with here.app.app_context():
        invoice = bill_of(customer_id).invoice_id
    return list(here.stripe().v1.credit_notes.list({"invoice": str(invoice)}).data)[::-1]


@pytest.fixture
def key(here: World) -> str:
    return operator_key(here, "usage:void")


@pytest.fixture
def paid(here: World, app: Flask, alice: Person) -> int:
    """Alice's customer id; her bill of the last month, 12.5 hours for $1.25 in three events, is paid."""
    start(alice.browser)
    here.flush()
    customer_id: int = one(here, select(Customer.id))
    record(customer_id, ("a", "4.25", "cpu_hour"), ("b", "8.24", "cpu_hour"), ("c", "0.01", "cpu_hour"))
    run(app, str(LAST))
    becomes(here, customer_id, "paid")
    assert bill_of(customer_id).amount == 125
    return customer_id


def test_a_paid_bill_is_corrected_by_a_credit_note_once(here: World, key: str, paid: int) -> None:
    first = void(here, key, paid, "a")
    (note,) = notes(here, paid)
    facts = {"meter": "cpu_hour", "quantity": "4.25", "month": str(LAST)}
    back = {"amount": 42, "currency": "usd", "credits": 0, "credit_note": note.id}  # $1.25 less 8.25 hours
    assert (first.status_code, first.json()) == (200, facts | {"voided_before": False, "correction": back})
    assert (note.amount, note.memo, note.post_payment_amount) == (42, None, 42)
    assert note.lines.data[0].description == f"Correction: CPU hour 4.25, {LAST.words}"
    stripe_id = one(here, select(StripeCustomer.stripe_id))
    assert here.stripe().v1.customers.retrieve(stripe_id).balance == -42
    assert void(here, key, paid, "a").json() == facts | {"voided_before": True, "correction": back}
    # All corrections together are exact: nothing is left of the bill.
    assert [void(here, key, paid, name).json()["correction"]["amount"] for name in ("b", "c")] == [83, 0]
    assert [one.amount for one in notes(here, paid)] == [42, 83]
    assert here.stripe().v1.customers.retrieve(stripe_id).balance == -125
    with here.app.app_context():
        entries = db.session.execute(select(AuditEntry).filter_by(action="usage.corrected")).scalars().all()
        assert [(entry.actor, entry.after["reason"]) for entry in entries] == [("operator", "Counted twice")] * 3
        assert bill_of(paid).state == "paid"


def test_an_open_bill_asks_for_less(here: World, app: Flask, key: str) -> None:
    customer_id = a_customer()
    record(customer_id, ("a", 5, "cpu_hour"), ("b", 15, "cpu_hour"))
    run(app, str(LAST))  # there is no card
    assert void(here, key, customer_id, "a").json()["correction"]["amount"] == 50
    (invoice,) = invoices(here, customer_id)
    assert (invoice.amount_due, invoice.pre_payment_credit_notes_amount) == (150, 50)
    assert void(here, key, customer_id, "b").status_code == 200
    becomes(here, customer_id, "paid")


def test_what_credits_paid_comes_back_as_credits(here: World, app: Flask, key: str) -> None:
    customer_id = a_customer()
    ledger.post(customer_id, 120, "grant", "gift")
    db.session.add(UsageSettings(customer_id=customer_id, credits_first=True, updated_at=LAST.start))
    db.session.commit()
    record(customer_id, ("a", 5, "cpu_hour"), ("b", 15, "cpu_hour"))
    run(app, str(LAST))
    bill = bill_of(customer_id)
    assert (bill.amount, bill.credits, bill.credits_amount) == (200, 120, 120)
    # $0.80 was invoiced and is credited first; the rest was paid with credits.
    first, second = (void(here, key, customer_id, name).json()["correction"] for name in ("b", "a"))
    assert (first["amount"], first["credits"]) == (150, 70)
    assert (second["amount"], second["credits"], second["credit_note"]) == (50, 50, None)
    assert [one.amount for one in notes(here, customer_id)] == [80]
    assert one(here, select(Customer.credit_balance)) == 120
    assert_balanced(customer_id)
    references = db.session.execute(select(CreditEntry.reference).filter_by(reason="reinstatement")).scalars()
    assert len(set(references)) == 2


def test_a_refused_note_is_asked_for_anew(here: World, key: str, paid: int) -> None:
    here.fail(path="/v1/credit_notes", method="POST", next=1, status=400)
    assert void(here, key, paid, "a").status_code in (400, 402, 409, 502, 503)
    assert one(here, select(UsageCorrection.state)) == "refused"
    done = void(here, key, paid, "a").json()
    assert (done["voided_before"], done["correction"]["amount"]) == (True, 42)
    assert (one(here, select(UsageCorrection.state)), len(notes(here, paid))) == ("done", 1)


def test_a_crash_before_the_call_is_made_up_for(here: World, paid: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with here.app.app_context():
        with monkeypatch.context() as patch:
            patch.setattr(corrections, "_credit", lambda row: None)
            corrections.take_back(paid, "a", "A slip")
        assert corrections.run() == 0  # it may be under way
        db.session.execute(
            UsageCorrection.__table__.update().values(created_at=clock.now() - timedelta(minutes=5))
        )
        db.session.commit()
        assert corrections.run() == 1
        assert corrections.run() == 0
    assert [one.amount for one in notes(here, paid)] == [42]


def test_a_void_bill_and_one_under_way_are_left_alone(here: World, app: Flask, key: str) -> None:
    customer_id = a_customer()
    record(customer_id, ("a", 5, "cpu_hour"))
    run(app, str(LAST))
    for state in ("claimed", "void"):
        db.session.execute(MonthlyBill.__table__.update().values(state=state))
        db.session.commit()
        answer = void(here, key, customer_id, "a")
        assert (answer.status_code, answer.json()["code"]) == (409, "month_closed")
    assert count(here, UsageCorrection) == 0


def test_an_admin_corrects_a_bill_on_the_customer_s_page(
    here: World, ada: Person, alice: Person, paid: int
) -> None:
    admin = ada.browser
    admin.open(f"/admin/customers/{alice.user_id}")
    admin.press("Void usage", reason="A slip", identifier="a", void_mode="live")
    assert f"cpu_hour 4.25 was taken off {LAST.words}. $0.42 comes back." in admin.text
    assert len(notes(here, paid)) == 1
