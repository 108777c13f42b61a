"""The effects of a withdrawn payment, by what it paid for: computed from the sum that is withdrawn now."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from portal import clock
from portal.credits import grants, ledger
from portal.credits.top_ups import rules, top_ups
from portal.extensions import db
from portal.models import Customer, Invoice, Payment, RefundRequest, TopUpRule
from portal.sync import locks
from tests.conftest import Person
from tests.support.books import a_customer, a_grant, assert_balanced
from tests.support.browsing import Browser
from tests.support.credits import balance, buy
from tests.support.looking import one, tier
from tests.support.reversals import db_actions, decide, dispute, intent_of, mails, refund, withdrawn
from tests.support.world import World

pytestmark = pytest.mark.both_databases


def said(browser: Browser, path: str) -> str:
    """Return the text of a page."""
    browser.open(path)
    return browser.text


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
    assert one(here, select(RefundRequest.state)) == "failed"
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


@pytest.mark.parametrize("take", [refund, dispute])
def test_a_claw_back_pauses_the_top_up_until_the_customer_turns_it_on(
    here: World, alice: Person, take: Callable[[World, str], None]
) -> None:
    intent = buy(here, alice)
    here.flush()
    with here.app.app_context():
        customer = db.session.execute(select(Customer.id)).scalar_one()
        rules.turn_on(customer, rules.Terms(1000, "basic", 10000))
        db.session.commit()
    take(here, intent)
    assert balance(here) == 0
    with here.app.app_context():
        assert top_ups.run() == 0
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
