"""Calls that were done and whose answer says nothing: found, never done twice, and at last decided by a person."""

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from portal.credits.top_ups import top_ups
from portal.extensions import db
from portal.models import MonthlyBill, OpenCall, Order, OutboxMail, StripeCustomer, TopUpRule, UsageAgreement
from portal.sync import idempotency, open_calls
from tests.admin.conftest import admin as admin
from tests.conftest import Person
from tests.credits.test_top_ups import keen as keen
from tests.support.ages import age
from tests.support.browsing import Browser
from tests.support.open_calls import ACTED, CUT, FAILED, audited, open_ones, state
from tests.support.usage import invoices, lines_of, run, used
from tests.support.world import World

FAULTS = pytest.mark.parametrize("fault", [CUT, ACTED], ids=["cut", "answered-500"])


def intents(here: World) -> list[Any]:
    name = db.session.execute(select(StripeCustomer.stripe_id)).scalar_one()
    db.session.commit()
    return list(here.stripe().v1.payment_intents.list({"customer": name or ""}).data)


def test_the_words_of_keys_never_change() -> None:
    """A claim may be open across an upgrade, and Stripe knows it by its key."""
    assert sorted(idempotency.WORDS.values()) == [
        "monthly_bills",
        "order_invoices",
        "payment_links",
        "purchases",
        "refund_orders",
        "stripe_customers",
        "subscription_changes",
        "trial_uses",
        "usage_agreements",
        "usage_corrections",
        "voidings",
    ]


@FAULTS
def test_a_top_up_is_charged_once(here: World, app: Flask, keen: Person, fault: dict[str, Any]) -> None:
    here.fail(path="/v1/payment_intents", **fault)
    top_ups.run()
    here.calm()
    age(OpenCall, minutes=2)
    open_calls.run()
    assert (len(intents(here)), state(Order), open_ones()) == (1, "paid", [])


def test_a_top_up_that_nobody_finds_pauses_the_rule(here: World, app: Flask, keen: Person, admin: Browser) -> None:
    here.fail(path="/v1/payment_intents", **FAILED)
    top_ups.run()
    assert len(intents(here)) == 0
    age(OpenCall, hours=25)
    age(Order, hours=25)
    open_calls.run()
    top_ups.run()
    rule = db.session.execute(select(TopUpRule).execution_options(populate_existing=True)).scalar_one()
    assert (rule.paused_reason, state(Order), len(intents(here))) == ("unclear", "unclear", 0)
    assert db.session.execute(select(OutboxMail).filter_by(template="top_up_failed")).scalars().first()
    db.session.commit()
    admin.open("/admin")
    admin.press("Repeat the call")
    assert (len(intents(here)), state(Order), open_ones()) == (1, "paid", [])
    assert "purchase.unclear" in audited()


def test_a_declined_top_up_leaves_an_audit_entry(here: World, app: Flask, keen: Person) -> None:
    name = db.session.execute(select(StripeCustomer.stripe_id)).scalar_one() or ""
    db.session.commit()
    stripe = here.stripe().v1
    bad = stripe.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": name})
    stripe.customers.update(name, {"invoice_settings": {"default_payment_method": bad.id}})
    top_ups.run()
    assert state(Order) == "failed"
    assert "purchase.failed" in audited()


BILLING = {"draft": "/v1/invoices", "line": "/v1/invoiceitems", "final": "/v1/invoices/in_"}


@FAULTS
@pytest.mark.parametrize("step", BILLING)
def test_a_months_bill_is_made_once(
    here: World, app: Flask, alice: Person, step: str, fault: dict[str, Any]
) -> None:
    customer_id = used(alice.user, ("a", 2, "cpu_hour"), ("b", 3, "gpu_hour"))
    here.fail(path=BILLING[step], **fault)
    run(app)
    here.calm()
    age(OpenCall, minutes=2)
    open_calls.run()
    run(app)
    [invoice] = invoices(here, customer_id)
    assert (invoice.status != "draft", len(lines_of(invoice))) == (True, 2)
    assert (state(MonthlyBill) in ("invoiced", "unpaid"), open_ones()) == (True, [])  # without a card: unpaid


def test_a_months_bill_that_nobody_finds_waits_for_a_person(
    here: World, app: Flask, alice: Person, admin: Browser
) -> None:
    customer_id = used(alice.user, ("a", 2, "cpu_hour"), ("b", 3, "gpu_hour"))
    here.fail(path="/v1/invoices", **FAILED)
    run(app)
    run(app)
    assert invoices(here, customer_id) == []
    age(OpenCall, hours=25)
    open_calls.run()
    run(app)
    assert (state(MonthlyBill), invoices(here, customer_id)) == ("unclear", [])
    admin.open("/admin")
    admin.press("Repeat the call")
    assert (state(MonthlyBill), len(invoices(here, customer_id))) == ("invoiced", 1)
    assert open_ones() == []


@FAULTS
@pytest.mark.parametrize("path", ["/v1/customers/cus_", "/v1/subscriptions"])
def test_pay_as_you_go_begins_once(
    here: World, app: Flask, alice: Person, path: str, fault: dict[str, Any]
) -> None:
    alice.browser.open("/usage")
    alice.browser.press("Start pay as you go")
    alice.browser.press(
        "Save card", number="4242 4242 4242 4242", expiration="12 / 34", cvc="123", name="A", zip="1", follow=False
    )
    here.fail(path=path, **fault)
    here.flush()
    here.calm()
    db.session.rollback()
    age(OpenCall, minutes=2)
    open_calls.run()
    session_id = db.session.execute(select(Order.session_id)).scalar_one()
    db.session.commit()
    alice.browser.open(f"/usage/started?session_id={session_id}")
    name = db.session.execute(select(StripeCustomer.stripe_id)).scalar_one()
    agreement = db.session.execute(select(UsageAgreement).execution_options(populate_existing=True)).scalar_one()
    db.session.commit()
    [made] = here.stripe().v1.subscriptions.list({"customer": name or ""}).data
    assert (agreement.subscription_id, state(Order), open_ones()) == (made.id, "paid", [])


@FAULTS
@pytest.mark.parametrize("path", ["/v1/customers", "/v1/checkout/sessions"])
def test_an_order_gets_its_page_by_a_new_attempt(
    here: World, alice: Person, path: str, fault: dict[str, Any]
) -> None:
    here.fail(path=path, **fault)
    assert alice.browser.choose("pro-monthly", follow=False).status_code == 503
    here.calm()
    assert alice.browser.choose("pro-monthly", follow=False).status_code == 303
    with here.app.app_context():
        assert state(Order) == "open"
        assert open_ones() == []
