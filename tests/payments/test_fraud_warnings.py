"""Early fraud warnings are told to the admins, and shown until nothing is left to be done; parts of an invoice."""

import pytest
from sqlalchemy import select

from portal.extensions import db
from portal.models import FraudWarning, Payment, StripeEvent
from tests.conftest import Person
from tests.support.looking import one
from tests.support.reversals import db_actions, intent_of, mails, refund
from tests.support.world import World

pytestmark = pytest.mark.both_databases
SUSPECT = "pm_card_createIssuerFraudRecord"


def charged(here: World, card: str) -> str:
    """Create another subscription of Bob's customer with this card, and return its payment intent."""
    stripe = here.stripe().v1
    customer = str(stripe.payment_intents.retrieve(intent_of(here, "subscription")).customer)
    method = stripe.payment_methods.attach(card, {"customer": customer}).id
    price = stripe.prices.list({"lookup_keys": ["pro_monthly"]}).data[0].id
    terms = {"items": [{"price": price}], "default_payment_method": method, "expand": ["latest_invoice.payments"]}
    made = stripe.subscriptions.create({"customer": customer, **terms})
    here.flush()
    return str(made.latest_invoice.payments.data[0].payment.payment_intent)


def test_an_early_fraud_warning_is_told_and_shown_until_the_refund(here: World, bob: Person, ada: Person) -> None:
    intent = charged(here, SUSPECT)
    assert one(here, select(FraudWarning.is_actionable)) is True
    (mail,) = mails(here, "fraud_warning")
    assert (mail["email"], mail["amount"], mail["fraud_type"]) == (
        "bob@example.com",
        4999,
        "made_with_stolen_card",
    )
    assert len(db_actions(here, "payment.fraud_warning")) == 1
    ada.browser.open("/admin")
    assert "Early fraud warnings" in ada.browser.text
    assert "made with stolen card" in ada.browser.text
    refund(here, intent)
    assert one(here, select(FraudWarning.is_actionable)) is False
    ada.browser.open("/admin")
    assert "Early fraud warnings" not in ada.browser.text
    assert len(mails(here, "fraud_warning")) == 1


def test_a_warning_about_a_foreign_payment_is_parked(here: World, ada: Person) -> None:
    terms = {"amount": 900, "currency": "usd", "payment_method": SUSPECT, "confirm": True}
    here.stripe().v1.payment_intents.create(terms)
    here.flush()
    kind = "radar.early_fraud_warning.created"
    assert one(here, select(StripeEvent.state).filter_by(type=kind)) == "parked"
    assert mails(here, "fraud_warning") == []


def test_each_payment_of_an_invoice_is_written(here: World, bob: Person) -> None:
    stripe = here.stripe().v1
    customer = str(stripe.payment_intents.retrieve(intent_of(here, "subscription")).customer)
    draft = stripe.invoices.create({"customer": customer, "auto_advance": False})
    stripe.invoice_items.create({"customer": customer, "invoice": draft.id, "amount": 1000, "currency": "usd"})
    here.flush()
    invoice = stripe.invoices.finalize_invoice(draft.id)
    part = {
        "customer": customer,
        "amount": 300,
        "currency": "usd",
        "payment_method": "pm_card_visa",
        "confirm": True,
    }
    intent = stripe.payment_intents.create(part)
    stripe.invoices.attach_payment(invoice.id, {"payment_intent": intent.id})
    here.flush()
    stripe.invoices.pay(invoice.id)
    here.flush()
    with here.app.app_context():
        paid = select(Payment).filter_by(invoice_id=invoice.id).order_by(Payment.amount)
        rows = list(db.session.execute(paid).scalars())
        assert [(row.amount, row.status) for row in rows] == [(300, "succeeded"), (700, "succeeded")]
        assert rows[0].stripe_id == intent.id
    refund(here, intent.id)
    with here.app.app_context():
        assert [row.amount_withdrawn for row in db.session.execute(paid).scalars()] == [300, 0]


def test_an_item_on_an_invoice_has_the_invoice_read(here: World, bob: Person) -> None:
    stripe = here.stripe().v1
    customer = str(stripe.payment_intents.retrieve(intent_of(here, "subscription")).customer)
    draft = stripe.invoices.create({"customer": customer, "auto_advance": False})
    item = {"customer": customer, "amount": 1000, "currency": "usd"}
    stripe.invoice_items.create({**item, "invoice": draft.id})
    pending = stripe.invoice_items.create(item)
    stripe.invoice_items.delete(pending.id)
    here.flush()
    with here.app.app_context():
        kinds = StripeEvent.type.like("invoiceitem.%")
        states = db.session.execute(select(StripeEvent.type, StripeEvent.state).where(kinds)).all()
    assert sorted(map(tuple, states)) == [
        ("invoiceitem.created", "ignored"),
        ("invoiceitem.created", "processed"),
        ("invoiceitem.deleted", "ignored"),
    ]
