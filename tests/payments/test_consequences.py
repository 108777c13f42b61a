"""What follows when a payment is taken back, by what it paid for: computed from the sum that is withdrawn now."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update

from portal import clock
from portal.credits import grants, ledger, topup_rules, topups
from portal.customers import locks, suspensions
from portal.extensions import db
from portal.models import (
    AuditEntry,
    Customer,
    Invoice,
    OutboxMail,
    Payment,
    Plan,
    RefundOrder,
    Reversal,
    StripeCustomer,
    StripeEvent,
    Suspension,
    TopUpRule,
)
from portal.models.suspension import SuspensionReason
from portal.payments import sync
from portal.webhooks import replaying
from tests.conftest import Person
from tests.support import events
from tests.support.books import a_customer, a_grant, assert_balanced
from tests.support.browsing import Browser
from tests.support.credits import balance, buy
from tests.support.looking import one, tier
from tests.support.usage import becomes, event, record, reporter, run, start
from tests.support.world import World

pytestmark = pytest.mark.both_databases


def refund(here: World, intent: str, amount: int | None = None) -> None:
    given: dict[str, Any] = {"payment_intent": intent} | ({"amount": amount} if amount else {})
    here.stripe().v1.refunds.create(given)
    here.flush()


def dispute(here: World, intent: str) -> None:
    here.control(f"disputes/{intent}")
    here.flush()


def decide(here: World, verdict: str) -> None:
    """Have the bank decide the newest dispute: `winning` or `losing`."""
    found = here.stripe().v1.disputes.list({"limit": 1}).data[0]
    evidence = {"evidence": {"uncategorized_text": f"{verdict}_evidence"}, "submit": True}
    here.stripe().v1.disputes.update(found.id, evidence)
    here.flush()


def intent_of(here: World, kind: str) -> str:
    return str(one(here, select(Payment.stripe_id).filter_by(kind=kind)))


def withdrawn(here: World) -> int:
    return int(one(here, select(Payment.amount_withdrawn)))


def said(browser: Browser, path: str) -> str:
    """The words of a page."""
    browser.open(path)
    return browser.text


def mails(here: World, template: str) -> list[dict[str, Any]]:
    with here.app.app_context():
        query = select(OutboxMail.context).filter_by(template=template).order_by(OutboxMail.id)
        return list(db.session.execute(query).scalars())


def reasons(here: World) -> list[str]:
    with here.app.app_context():
        query = select(Suspension.reason).filter_by(lifted_at=None)
        return list(db.session.execute(query).scalars())


def db_actions(here: World, action: str) -> list[str]:
    with here.app.app_context():
        query = select(AuditEntry.subject).filter_by(action=action)
        return list(db.session.execute(query).scalars())


@pytest.fixture
def owner(here: World, alice: Person, monkeypatch: pytest.MonkeyPatch) -> Person:
    """Alice, who has bought a plan that is paid once, $99 of the tier `pro`."""
    stripe = here.stripe().v1
    product = stripe.products.create({"name": "Pro for good"})
    price = {"product": product.id, "currency": "usd", "unit_amount": 9900, "metadata": {"tier": "pro"}}
    price_id = stripe.prices.create(price).id
    browser = alice.browser
    browser.open("/pricing")
    form = next(form for form in browser.forms() if form.fields.get("price"))
    settings = here.app.extensions["settings"].model_copy(
        update={"stripe_allowed_price_ids": frozenset({price_id})}
    )
    monkeypatch.setitem(here.app.extensions, "settings", settings)
    browser.page = browser.http.post(form.action, data=form.fields | {"price": price_id}, timeout=30)
    browser.pay()
    here.flush()
    assert tier(here) == "pro"
    return alice


def test_a_one_time_plan_ends_when_all_of_it_is_refunded(here: World, owner: Person) -> None:
    intent = intent_of(here, "plan")
    assert "Payment Pro for good" in said(owner.browser, "/history")
    refund(here, intent, 4900)
    assert (withdrawn(here), tier(here)) == (4900, "pro")
    assert [mail["access"] for mail in mails(here, "payment_reversed")] == ["kept"]
    refund(here, intent)
    assert (withdrawn(here), tier(here)) == (9900, "free")
    assert [mail["access"] for mail in mails(here, "payment_reversed")] == ["kept", "ended"]
    text = said(owner.browser, "/history")
    assert "Refund Pro for good" in text
    assert "Refunded" in text
    assert len(db_actions(here, "refund.succeeded")) == 2


def test_a_one_time_plan_comes_back_with_a_dispute_that_is_won(here: World, owner: Person, ada: Person) -> None:
    dispute(here, intent_of(here, "plan"))
    assert tier(here) == "free"
    decide(here, "winning")
    assert tier(here) == "pro"
    told = mails(here, "payment_reversed")
    assert [(mail["back"], mail["access"]) for mail in told] == [(False, "ended"), (True, "kept")]
    assert [mail["status"] for mail in mails(here, "dispute")][-1] == "won"


def test_the_admin_refunds_a_one_time_plan(here: World, owner: Person, ada: Person) -> None:
    payment = one(here, select(Payment.id))
    ada.browser.open(f"/admin/customers/{owner.user_id}/refund?payment={payment}")
    assert "End the subscription" not in ada.browser.text
    ada.browser.press("Refund")
    here.flush()
    assert tier(here) == "free"


def test_an_inquiry_withdraws_nothing(here: World, bob: Person, ada: Person) -> None:
    stripe = here.stripe().v1
    customer = stripe.payment_intents.retrieve(intent_of(here, "subscription")).customer
    method = stripe.payment_methods.attach("pm_card_createDisputeInquiry", {"customer": str(customer)}).id
    price = stripe.prices.list({"lookup_keys": ["pro_monthly"]}).data[0].id
    stripe.subscriptions.create(
        {"customer": str(customer), "items": [{"price": price}], "default_payment_method": method}
    )
    here.flush()
    assert one(here, select(Reversal.status)) == "warning_needs_response"
    with here.app.app_context():
        assert set(db.session.execute(select(Payment.amount_withdrawn)).scalars()) == {0}
    assert mails(here, "payment_reversed") == []
    assert [mail["status"] for mail in mails(here, "dispute")] == ["warning_needs_response"]


def test_a_refunded_subscription_keeps_its_access_and_shows_it(here: World, bob: Person) -> None:
    intent = intent_of(here, "subscription")
    refund(here, intent, 3000)
    assert "Partly refunded $30.00" in said(bob.browser, "/billing")
    assert "Refund" in said(bob.browser, "/history?kind=refunds")
    refund(here, intent)
    assert tier(here) == "pro"
    assert [mail["bought"] for mail in mails(here, "payment_reversed")] == ["subscription"] * 2


def test_a_refund_that_fails_at_the_bank_can_be_given_again(here: World, alice: Person, ada: Person) -> None:
    alice.browser.buy("pro-monthly", "4000 0000 0000 5126")
    here.flush()
    page = f"/admin/customers/{alice.user_id}/refund?invoice={one(here, select(Invoice.id))}"
    here.hold_settlements()
    ada.browser.open(page)
    ada.browser.press("Refund", amount="49.99")
    here.flush()
    assert "All of it was given back." in said(ada.browser, page)
    here.settle()
    here.flush()
    assert "Refunded so far $0.00" in said(ada.browser, page)
    assert one(here, select(RefundOrder.state)) == "failed"
    assert [mail["back"] for mail in mails(here, "payment_reversed")] == [False, True]
    ada.browser.press("Refund", amount="49.99")
    assert "$49.99 go back" in ada.browser.text


def test_the_admin_s_form_sees_what_was_refunded_at_stripe(here: World, bob: Person, ada: Person) -> None:
    intent = intent_of(here, "subscription")
    here.stripe().v1.refunds.create({"payment_intent": intent, "amount": 3000})  # no webhook has come
    page = f"/admin/customers/{bob.user_id}/refund?invoice={one(here, select(Invoice.id))}"
    assert "Refunded so far $30.00" in said(ada.browser, page)
    assert ada.browser.press("Refund", amount="20.00").status_code == 400
    assert len(here.stripe().v1.refunds.list({"payment_intent": intent}).data) == 1


def test_the_admin_ends_the_subscription_with_the_refund(here: World, bob: Person, ada: Person) -> None:
    ada.browser.open(f"/admin/customers/{bob.user_id}/refund?invoice={one(here, select(Invoice.id))}")
    assert "End the subscription now" in ada.browser.text
    ada.browser.press("Refund", end="y")
    assert "The subscription has ended." in ada.browser.text
    here.flush()
    assert tier(here) == "free"
    assert withdrawn(here) == 4999
    assert db_actions(here, "subscription.end_asked")


@pytest.mark.parametrize("policy", ["keep", "suspend"])
def test_a_disputed_subscription_suspends_where_its_plan_says_so(
    here: World, bob: Person, ada: Person, policy: str
) -> None:
    with here.app.app_context():
        db.session.execute(update(Plan).filter_by(tier="pro").values(on_dispute=policy))
        db.session.commit()
    dispute(here, intent_of(here, "subscription"))
    assert tier(here) == "pro"
    assert reasons(here) == (["dispute"] if policy == "suspend" else [])
    told = mails(here, "dispute")
    assert (told[0]["status"], told[0]["suspended"]) == ("needs_response", policy == "suspend")
    decide(here, "winning")
    assert reasons(here) == []


def test_what_an_admin_lifted_stays_lifted(here: World, bob: Person) -> None:
    with here.app.app_context():
        db.session.execute(update(Plan).filter_by(tier="pro").values(on_dispute="suspend"))
        db.session.commit()
    dispute(here, intent_of(here, "subscription"))
    with here.app.app_context():
        customer = db.session.execute(select(Customer.id)).scalar_one()
        suspensions.lift(customer, SuspensionReason.DISPUTE, about="by hand")
        db.session.commit()
    refund_of_nothing_new(here)
    assert reasons(here) == []


def refund_of_nothing_new(here: World) -> None:
    """The dispute's charge is read again."""
    with here.app.app_context():
        charge = db.session.execute(select(Payment.charge_id)).scalar_one()
        db.session.commit()
        sync.sync_reversals("live", str(charge))


def test_a_lost_dispute_of_a_usage_bill_suspends_until_an_admin_lifts_it(
    here: World, app: Flask, alice: Person, ada: Person
) -> None:
    start(alice.browser)
    here.flush()
    server = reporter(here, alice.email)
    record(server.customer_id, ("a", 10, "cpu_hour"))
    assert run(app).exit_code == 0
    becomes(here, server.customer_id, "paid")
    intent = intent_of(here, "usage")
    dispute(here, intent)
    becomes(here, server.customer_id, "paid")
    assert server.send(event("open")).status_code == 200
    decide(here, "losing")
    becomes(here, server.customer_id, "paid")
    assert reasons(here) == ["dispute"]
    assert server.send(event("lost")).status_code == 402
    assert [mail["suspended"] for mail in mails(here, "dispute")][-1] is True
    assert len(here.stripe().v1.payment_intents.list({"limit": 100, "customer": payer(here)}).data) == 1


def payer(here: World) -> str:
    return str(one(here, select(StripeCustomer.stripe_id)))


@pytest.mark.parametrize("take", [refund, dispute])
def test_a_claw_back_pauses_the_top_up_until_the_customer_turns_it_on(
    here: World, alice: Person, take: Callable[[World, str], None]
) -> None:
    intent = buy(here, alice)
    here.flush()
    with here.app.app_context():
        customer = db.session.execute(select(Customer.id)).scalar_one()
        topup_rules.turn_on(customer, topup_rules.Terms(1000, "basic", 10000))
        db.session.commit()
    take(here, intent)
    assert balance(here) == 0
    with here.app.app_context():
        assert topups.run() == 0
    assert balance(here) == 0
    assert one(here, select(TopUpRule.paused_reason)) == "taken_back"
    assert mails(here, "payment_reversed")[0]["top_up_paused"] is True
    assert "was refunded or disputed" in said(alice.browser, "/credits")


def test_paid_credits_never_expire(app: Flask) -> None:
    customer = a_customer()
    ledger.post(customer, 1000, "purchase", "first")
    ledger.spend(customer, 1000, "work")
    a_grant(customer, 500, 1)
    ledger.post(customer, -500, "refund", "re_1")
    db.session.commit()
    assert assert_balanced(customer) == 0
    ledger.post(customer, 1000, "purchase", "second")
    db.session.commit()
    locks.lock(customer)
    grants.expire(customer, clock.now() + timedelta(days=2))
    db.session.commit()
    assert assert_balanced(customer) == 1000


def test_a_dispute_that_comes_before_its_customer_is_ours_waits_for_them(here: World, visitor: Browser) -> None:
    made = here.app.test_cli_runner().invoke(args=["payment-link", "create", "--tier", "pro"])
    visitor.open(made.output.strip())
    mark = events.newest(here)
    visitor.pay(email="eve@example.com", follow=False)
    [paid] = events.of_type(here, mark, "payment_intent.succeeded")
    here.control(f"disputes/{paid['data']['object']['id']}")
    [disputed] = events.of_type(here, mark, "charge.dispute.created")
    assert events.deliver(here, disputed).json()["status"] == "parked"
    [bought] = events.of_type(here, mark, "checkout.session.completed")
    assert events.deliver(here, bought).json()["status"] == "processed"
    with here.app.app_context():
        assert replaying.sweep()
    assert one(here, select(StripeEvent.state).filter_by(event_id=disputed["id"])) == "processed"
    assert one(here, select(Reversal.status)) == "needs_response"
    assert withdrawn(here) == 4999
