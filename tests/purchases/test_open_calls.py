"""Calls that were done and whose answer says nothing: found, never done twice, and at last decided by a person."""

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from portal.credits import topups
from portal.extensions import db
from portal.models import (
    AuditEntry,
    MonthlyBill,
    OpenCall,
    OutboxMail,
    Payment,
    Purchase,
    RefundOrder,
    StripeCustomer,
    TopUpRule,
    UsageAgreement,
)
from portal.payments import issue
from portal.purchases import claims, customers, open_calls
from tests.admin.conftest import admin as admin
from tests.conftest import Person
from tests.credits.test_topups import keen as keen
from tests.support.ages import age
from tests.support.browsing import Browser
from tests.support.usage import invoices, lines_of, record, run
from tests.support.world import World

CUT = {"method": "POST", "next": 2, "status": 200, "after": True}
ACTED = {"method": "POST", "next": 1, "status": 500, "acted": True}  # recorded: the SDK's second try gets it too
FAILED = {"method": "POST", "next": 1, "status": 500}
FAULTS = pytest.mark.parametrize("fault", [CUT, ACTED], ids=["cut", "answered-500"])


@pytest.fixture
def payment(here: World, app: Flask, keen: Person) -> Payment:
    """What Alice paid for 5,500 credits."""
    topups.run()
    here.flush()
    db.session.rollback()
    found = db.session.execute(select(Payment)).scalar_one()
    db.session.commit()
    return found


def refunds(here: World, payment: Payment) -> list[int]:
    return [one.amount for one in here.stripe().v1.refunds.list({"payment_intent": payment.stripe_id}).data]


def intents(here: World) -> list[Any]:
    name = db.session.execute(select(StripeCustomer.stripe_id)).scalar_one()
    db.session.commit()
    return list(here.stripe().v1.payment_intents.list({"customer": name or ""}).data)


def give_back(payment: Payment) -> str:
    """Order $5 back; gives how that ends."""
    refundable = issue.of_payment(payment)
    db.session.commit()
    try:
        issue.refund(refundable, 500, 0, "the form")
    except claims.StripeUnavailable as reason:
        return reason.code
    return "done"


def state(model: Any) -> str:
    query = select(model.state).order_by(model.id.desc()).limit(1)
    found = db.session.execute(query).scalar_one()
    db.session.commit()
    return str(found)


def open_ones() -> list[OpenCall]:
    query = select(OpenCall).filter_by(settled_at=None).execution_options(populate_existing=True)
    found = list(db.session.execute(query).scalars())
    db.session.commit()
    return found


def audited() -> list[str]:
    db.session.rollback()
    return list(db.session.execute(select(AuditEntry.action).order_by(AuditEntry.id)).scalars())


def test_a_refund_that_was_made_and_answered_with_500_is_found_at_once(here: World, payment: Payment) -> None:
    here.fail(path="/v1/refunds", **ACTED)
    assert give_back(payment) == "done"
    assert (refunds(here, payment), state(RefundOrder), open_ones()) == ([500], "done", [])


def test_a_refund_without_an_answer_is_asked_for_again_with_the_same_key(here: World, payment: Payment) -> None:
    here.fail(path="/v1/refunds", **CUT)
    assert give_back(payment) == "stripe_unavailable"
    here.calm()
    age(OpenCall, minutes=2)
    assert open_calls.run() == 1
    assert (refunds(here, payment), state(RefundOrder), open_ones()) == ([500], "done", [])


def late(here: World, payment: Payment) -> None:
    """Stripe finishes what it failed at: the refund of our order is there after all."""
    order = db.session.execute(select(RefundOrder.id)).scalar_one()
    db.session.commit()
    params = {"payment_intent": payment.stripe_id, "amount": 500}
    here.stripe().v1.refunds.create(params | {"metadata": {"portal_mode": "live", "refund_order": str(order)}})


@pytest.mark.parametrize("by", ["tick", "webhook"])
def test_a_refund_that_stripe_makes_later_is_found(here: World, payment: Payment, by: str) -> None:
    here.fail(path="/v1/refunds", **FAILED)
    assert give_back(payment) == "effect_unclear"
    assert open_calls.run() == 1
    assert (refunds(here, payment), state(RefundOrder)) == ([], "open")
    late(here, payment)
    if by == "tick":
        open_calls.run()
    else:
        here.flush()
        db.session.rollback()
    assert (refunds(here, payment), state(RefundOrder), open_ones()) == ([500], "done", [])


def unclear(here: World, payment: Payment) -> OpenCall:
    here.fail(path="/v1/refunds", **FAILED)
    assert give_back(payment) == "effect_unclear"
    age(OpenCall, hours=24, minutes=1)
    open_calls.run()
    assert (refunds(here, payment), state(RefundOrder)) == ([], "unclear")
    [call] = open_ones()
    assert call.unclear_at
    return call


def test_after_a_day_a_person_does_it_again(here: World, payment: Payment, admin: Browser) -> None:
    unclear(here, payment)
    assert open_calls.run() == 0
    assert give_back_refused(payment)
    admin.open("/admin")
    assert "Nobody knows whether this happened" in admin.text
    assert "Refund $5.00" in admin.text
    admin.press("Do it again")
    assert "asked of Stripe once more" in admin.text
    assert "Nobody knows" not in admin.open("/admin").text
    assert (refunds(here, payment), state(RefundOrder), open_ones()) == ([500], "done", [])
    assert {"refund.unclear", "stripe_call.unclear", "stripe_call.done_again", "refund.done"} <= set(audited())


def give_back_refused(payment: Payment) -> bool:
    """Whether a second form for the same payment is turned away."""
    refundable = issue.of_payment(payment)
    db.session.commit()
    with pytest.raises(issue.Conflict):
        issue.refund(refundable, 500, 0, "another form")
    db.session.rollback()
    return True


def test_after_a_day_a_person_says_that_it_happened(here: World, payment: Payment, admin: Browser) -> None:
    unclear(here, payment)
    admin.open("/admin")
    answer = admin.press("It happened", stripe_id="re_unknown")
    assert answer.status_code == 409
    made = here.stripe().v1.refunds.create({"payment_intent": payment.stripe_id, "amount": 500})
    admin.open("/admin")
    admin.press("It happened", stripe_id=made.id)
    assert "It happened" in admin.text
    assert (refunds(here, payment), state(RefundOrder), open_ones()) == ([500], "done", [])
    assert "stripe_call.happened" in audited()


def test_parameters_that_changed_with_a_release_leave_the_refund_open(
    here: World, payment: Payment, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.fail(path="/v1/refunds", **CUT)
    assert give_back(payment) == "stripe_unavailable"
    here.calm()
    ask = issue.gateway.Lane.create_refund

    def changed(lane: issue.gateway.Lane, params: dict[str, Any], key: str) -> Any:
        return ask(lane, params | {"reason": "requested_by_customer"}, key)

    monkeypatch.setattr(issue.gateway.Lane, "create_refund", changed)
    monkeypatch.setattr(issue, "_at_stripe", lambda order, named: None)  # as if it did not list it yet
    age(OpenCall, minutes=2)
    open_calls.run()
    assert [call.reason for call in open_ones()] == ["other_parameters"]
    assert (refunds(here, payment), state(RefundOrder)) == ([500], "open")
    monkeypatch.undo()
    open_calls.run()
    assert (refunds(here, payment), state(RefundOrder), open_ones()) == ([500], "done", [])


def test_the_words_of_keys_never_change() -> None:
    """A claim may be open across an upgrade, and Stripe knows it by its key."""
    assert sorted(claims.WORDS.values()) == [
        "monthly_bills",
        "payment_links",
        "purchases",
        "refund_orders",
        "stripe_customers",
        "subscription_changes",
        "trial_uses",
        "usage_agreements",
        "voidings",
    ]


@FAULTS
def test_a_top_up_is_charged_once(here: World, app: Flask, keen: Person, fault: dict[str, Any]) -> None:
    here.fail(path="/v1/payment_intents", **fault)
    topups.run()
    here.calm()
    age(OpenCall, minutes=2)
    open_calls.run()
    assert (len(intents(here)), state(Purchase), open_ones()) == (1, "paid", [])


def test_a_top_up_that_nobody_finds_pauses_the_rule(here: World, app: Flask, keen: Person, admin: Browser) -> None:
    here.fail(path="/v1/payment_intents", **FAILED)
    topups.run()
    assert len(intents(here)) == 0
    age(OpenCall, hours=25)
    age(Purchase, hours=25)
    open_calls.run()
    topups.run()
    rule = db.session.execute(select(TopUpRule).execution_options(populate_existing=True)).scalar_one()
    assert (rule.paused_reason, state(Purchase), len(intents(here))) == ("unclear", "unclear", 0)
    assert db.session.execute(select(OutboxMail).filter_by(template="top_up_failed")).scalars().first()
    db.session.commit()
    admin.open("/admin")
    admin.press("Do it again")
    assert (len(intents(here)), state(Purchase), open_ones()) == (1, "paid", [])
    assert "purchase.unclear" in audited()


def test_a_declined_top_up_leaves_an_audit_entry(here: World, app: Flask, keen: Person) -> None:
    name = db.session.execute(select(StripeCustomer.stripe_id)).scalar_one() or ""
    db.session.commit()
    stripe = here.stripe().v1
    bad = stripe.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": name})
    stripe.customers.update(name, {"invoice_settings": {"default_payment_method": bad.id}})
    topups.run()
    assert state(Purchase) == "failed"
    assert "purchase.failed" in audited()


def used(app: Flask, here: World, alice: Person) -> int:
    """Alice, known to Stripe, has used something of two meters; gives her customer's row."""
    customer = customers.of(alice.user)
    db.session.commit()
    customers.at_stripe(customer)
    record(customer.id, ("a", 2, "cpu_hour"), ("b", 3, "gpu_hour"))
    return customer.id


BILLING = {"draft": "/v1/invoices", "line": "/v1/invoiceitems", "final": "/v1/invoices/in_"}


@FAULTS
@pytest.mark.parametrize("step", BILLING)
def test_a_months_bill_is_made_once(
    here: World, app: Flask, alice: Person, step: str, fault: dict[str, Any]
) -> None:
    customer_id = used(app, here, alice)
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
    customer_id = used(app, here, alice)
    here.fail(path="/v1/invoices", **FAILED)
    run(app)
    run(app)
    assert invoices(here, customer_id) == []
    age(OpenCall, hours=25)
    open_calls.run()
    run(app)
    assert (state(MonthlyBill), invoices(here, customer_id)) == ("unclear", [])
    admin.open("/admin")
    admin.press("Do it again")
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
    session_id = db.session.execute(select(Purchase.session_id)).scalar_one()
    db.session.commit()
    alice.browser.open(f"/usage/started?session_id={session_id}")
    name = db.session.execute(select(StripeCustomer.stripe_id)).scalar_one()
    agreement = db.session.execute(select(UsageAgreement).execution_options(populate_existing=True)).scalar_one()
    db.session.commit()
    [made] = here.stripe().v1.subscriptions.list({"customer": name or ""}).data
    assert (agreement.subscription_id, state(Purchase), open_ones()) == (made.id, "paid", [])


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
        assert state(Purchase) == "open"
        assert open_ones() == []
