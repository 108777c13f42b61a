"""Payments that are not one payment intent each: repeated refunds, old charges, parts of an invoice."""

from typing import Any

import pytest
from sqlalchemy import select

from portal.extensions import db
from portal.models import AuditEntry, Invoice, OutboxMail, Payment, RefundRequest, Reversal, StripeCustomer
from tests.conftest import Person
from tests.support.credits import balance, buy
from tests.support.looking import one, tier
from tests.support.world import World

pytestmark = pytest.mark.both_databases


def mails(here: World, template: str) -> list[dict[str, Any]]:
    with here.app.app_context():
        query = select(OutboxMail.context).filter_by(template=template).order_by(OutboxMail.id)
        return list(db.session.execute(query).scalars())


def payments(here: World) -> list[tuple[str, int, int]]:
    """Return each payment's key, amount, and how much of it is withdrawn, oldest first."""
    with here.app.app_context():
        columns = (Payment.stripe_id, Payment.amount, Payment.amount_withdrawn)
        return [tuple(row) for row in db.session.execute(select(*columns).order_by(Payment.id))]


def test_a_refund_that_stripe_made_twice_is_shown_and_told(here: World, alice: Person, ada: Person) -> None:
    intent = buy(here, alice)
    here.flush()
    page = f"/admin/customers/{alice.user_id}/refund?payment={one(here, select(Payment.id))}"
    ada.browser.open(page)
    ada.browser.press("Refund", amount="9.00")
    here.flush()
    order = one(here, select(RefundRequest.id))
    again = {"portal_mode": "live", "refund_order": str(order)}  # what a repeated call sends
    here.stripe().v1.refunds.create({"payment_intent": intent, "amount": 900, "metadata": again})
    here.flush()
    assert (payments(here), balance(here)) == ([(intent, 4500, 1800)], 3300)
    assert [mail["credits"] for mail in mails(here, "payment_reversed")] == [-1100, -1100]
    [told] = mails(here, "refund_twice")
    made = here.stripe().v1.refunds.list({"payment_intent": intent}).data
    _, second = sorted(made, key=lambda refund: (refund.created, refund.id))  # of one second, perhaps
    assert (told["refund"], told["amount"], told["email"]) == (second.id, 900, alice.email)
    assert one(here, select(AuditEntry.subject).filter_by(action="refund.made_twice")) == second.id
    alice.browser.open("/history?kind=refunds")
    assert alice.browser.text.count("\N{MINUS SIGN}$9.00") == 2, alice.browser.text
    ada.browser.open(page)
    assert "Refunded so far $18.00" in ada.browser.text
    with here.app.app_context():
        done = here.app.test_cli_runner().invoke(args=["reconcile", "--mode", "live"])
    assert (done.exit_code, second.id in done.output) == (1, True), done.output
    here.stripe().v1.refunds.create({"payment_intent": intent, "amount": 900})  # meant, so told of no more
    here.flush()
    assert len(mails(here, "refund_twice")) == 1


@pytest.fixture
def charge(here: World, alice: Person) -> str:
    """Alice has paid for Pro by a charge without a payment intent, as old accounts have them."""
    alice.browser.choose("pro-monthly")
    alice.browser.pay(follow=False)
    paid = here.stripe().v1.invoice_payments.list().data[0]
    here.control(f"legacy_charges/{paid.payment.payment_intent}")
    here.flush()
    return str(here.stripe().v1.invoice_payments.retrieve(paid.id).payment.charge)


def test_a_charge_without_a_payment_intent_is_known_by_itself(
    here: World, alice: Person, ada: Person, charge: str
) -> None:
    assert payments(here) == [(charge, 4999, 0)]
    assert tier(here) == "pro"
    ada.browser.open(f"/admin/customers/{alice.user_id}/refund?invoice={one(here, select(Invoice.id))}")
    ada.browser.press("Refund", amount="20.00")
    assert "$20.00 go back" in ada.browser.text
    here.flush()
    assert payments(here) == [(charge, 4999, 2000)]
    assert one(here, select(RefundRequest.state)) == "done"
    alice.browser.open("/billing")
    assert "Partly refunded $20.00" in alice.browser.text
    ada.browser.open(f"/admin/customers/{alice.user_id}/refund?invoice={one(here, select(Invoice.id))}")
    assert "Refunded so far $20.00" in ada.browser.text


def test_a_dispute_of_a_charge_without_a_payment_intent(
    here: World, alice: Person, ada: Person, charge: str
) -> None:
    here.control(f"disputes/{charge}")
    here.flush()
    assert payments(here) == [(charge, 4999, 4999)]
    assert [mail["status"] for mail in mails(here, "dispute")] == ["needs_response"]


@pytest.fixture
def parts(here: World, bob: Person) -> list[str]:
    """The payment intents of $3 and $4 that Bob paid of an invoice of $10; $3 are left."""
    stripe = here.stripe().v1
    customer = one(here, select(StripeCustomer.stripe_id))
    draft = stripe.invoices.create({"customer": customer, "auto_advance": False})
    stripe.invoice_items.create({"customer": customer, "invoice": draft.id, "amount": 1000, "currency": "usd"})
    stripe.invoices.finalize_invoice(draft.id)
    made = []
    for amount in (300, 400):
        terms: Any = {"customer": customer, "amount": amount, "currency": "usd", "confirm": True}
        intent = stripe.payment_intents.create({**terms, "payment_method": "pm_card_visa"})
        stripe.invoices.attach_payment(draft.id, {"payment_intent": intent.id})
        here.flush()
        made.append(intent.id)
    return made


def invoice_id(here: World) -> int:
    return int(one(here, select(Invoice.id).filter_by(total=1000)))


def test_each_payment_of_an_invoice_is_one(here: World, bob: Person, parts: list[str]) -> None:
    first, second = parts
    assert payments(here)[1:] == [(first, 300, 0), (second, 400, 0)]
    assert "Partly paid $7.00" in said(bob, "/billing")
    assert "Partly paid" in said(bob, "/history?kind=invoices")
    stripe = here.stripe().v1
    paid = stripe.invoices.pay(one(here, select(Invoice.stripe_id).filter_by(total=1000)))
    here.flush()
    assert paid.status == "paid"
    assert [amount for _, amount, _ in payments(here)[1:]] == [300, 400, 300]
    assert "Partly paid" not in said(bob, "/billing")
    stripe.refunds.create({"payment_intent": first})
    here.flush()
    assert "Partly refunded $3.00" in said(bob, "/billing")
    assert [taken for _, _, taken in payments(here)[1:]] == [300, 0, 0]


def said(person: Person, path: str) -> str:
    """Return the text of a page."""
    person.browser.open(path)
    return person.browser.text


def test_the_admin_refunds_the_payment_that_was_shown(
    here: World, ada: Person, bob: Person, parts: list[str]
) -> None:
    """Of two windows that show the same payment, the second gives nothing back of the other payment."""
    page = f"/admin/customers/{bob.user_id}/refund?invoice={invoice_id(here)}"
    assert "It was paid in 2 payments" in said(ada, page)
    assert "Paid $4.00" in ada.browser.text
    forms = []
    for _ in range(2):
        ada.browser.open(page)
        forms.append(ada.browser.form("Refund"))
    for form, status in zip([*forms, forms[0]], (200, 409, 200), strict=True):
        answer = ada.browser.http.post(form.action, data=form.fields | {"amount": "3.00"}, timeout=30)
        assert answer.status_code == status, answer.text
    here.flush()
    assert [taken for _, _, taken in payments(here)[1:]] == [0, 300]
    ada.browser.open(page)
    assert ada.browser.open(ada.browser.link("the payment of $3.00")).ok
    assert "Paid $3.00" in ada.browser.text
    ada.browser.press("Refund")
    here.flush()
    assert [taken for _, _, taken in payments(here)[1:]] == [300, 300]
    assert one(here, select(Reversal.amount).filter_by(payment_id=of(here, parts[0]))) == 300


def of(here: World, intent: str) -> int:
    return int(one(here, select(Payment.id).filter_by(stripe_id=intent)))
