"""Pay as you go: the card first, then the one metered subscription; without a card keys stop."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import requests
from flask import Flask
from sqlalchemy import select, update

from portal import clock
from portal.credits import ledger
from portal.customers import suspensions
from portal.extensions import db
from portal.models import (
    AuditEntry,
    Customer,
    OutboxMail,
    Purchase,
    StripeCustomer,
    Subscription,
    Suspension,
    UsageAgreement,
)
from portal.models.suspension import SuspensionReason
from tests.conftest import Person
from tests.support import events
from tests.support.browsing import CARD
from tests.support.looking import count, one
from tests.support.usage import Reporter, becomes, bill_of, event, record, reporter, run, save_card, start, suspend
from tests.support.world import World

METERS = 4


def subscriptions(here: World) -> list[Any]:
    stripe_id = one(here, select(StripeCustomer.stripe_id))
    return list(here.stripe().v1.subscriptions.list({"customer": stripe_id, "status": "all"}).data)


def customer(here: World) -> Customer:
    with here.app.app_context():
        return db.session.execute(select(Customer)).scalar_one()


def open_reasons(here: World) -> list[str]:
    with here.app.app_context():
        query = select(Suspension.reason).filter_by(lifted_at=None).order_by(Suspension.id)
        return list(db.session.execute(query).scalars())


def mails(here: World) -> list[str]:
    with here.app.app_context():
        found = db.session.execute(select(OutboxMail.template).order_by(OutboxMail.id)).scalars()
        return [template for template in found if template in ("usage_started", "suspended", "reactivated")]


@pytest.fixture
def mark(here: World) -> str:
    """The newest event at Stripe before the test."""
    return events.newest(here)


@pytest.fixture
def agreed(here: World, alice: Person) -> Reporter:
    """Alice's server, once she pays as she goes."""
    start(alice.browser)
    here.flush()
    return reporter(here, alice.email)


def test_the_card_is_saved_and_one_metered_subscription_made(here: World, alice: Person) -> None:
    start(alice.browser)
    assert "Pay as you go is on" in alice.browser.text
    assert "Start pay as you go" not in alice.browser.text
    here.flush()
    (made,) = subscriptions(here)
    stripe_customer = here.stripe().v1.customers.retrieve(made.customer)
    assert made.status == "active"
    assert len(made["items"].data) == METERS
    assert all("quantity" not in item or item["quantity"] is None for item in made["items"].data)
    assert stripe_customer.invoice_settings.default_payment_method
    assert one(here, select(UsageAgreement.subscription_id)) == made.id
    assert one(here, select(Subscription.status)) == "active"
    assert one(here, select(Purchase.subscription_id)) == made.id
    assert mails(here) == ["usage_started"]
    alice.browser.open("/billing")
    assert "Pay as you go" in alice.browser.text


@pytest.mark.parametrize("first", ["webhook", "page", "both at once"])
def test_webhook_and_page_make_one_in_any_order(here: World, alice: Person, mark: str, first: str) -> None:
    start(alice.browser, back=False)
    session_id = one(here, select(Purchase.session_id))
    path = f"/usage/started?session_id={session_id}"
    if first == "webhook":
        here.flush()
    if first == "both at once":
        (completed,) = events.of_type(here, mark, "checkout.session.completed")
        with ThreadPoolExecutor(4) as pool:
            answers = [pool.submit(events.deliver, here, completed) for _ in range(3)]
            alice.browser.open(path)
            assert {answer.result().status_code for answer in answers} == {200}
    alice.browser.open(path)
    here.flush()
    for repeated in events.of_type(here, mark, "checkout.session.completed"):
        assert events.deliver(here, repeated).json()["status"] == "duplicate"
    assert len(subscriptions(here)) == count(here, UsageAgreement) == 1
    assert mails(here) == ["usage_started"]


def test_a_lost_answer_makes_no_second_subscription(here: World, alice: Person) -> None:
    start(alice.browser, back=False)
    here.fail(next=2, after=True, hang=True, path="/v1/subscriptions")
    session_id = one(here, select(Purchase.session_id))
    alice.browser.open(f"/usage/started?session_id={session_id}")
    assert "not saved yet" in alice.browser.text
    with here.app.app_context():  # as if a day had passed: Stripe has forgotten the key
        db.session.execute(update(UsageAgreement).values(created_at=clock.now() - timedelta(days=2)))
        db.session.commit()
    here.calm()
    alice.browser.open(f"/usage/started?session_id={session_id}")
    assert "Pay as you go is on" in alice.browser.text
    assert len(subscriptions(here)) == 1


def test_a_second_start_is_refused_and_a_second_press_is_the_same(here: World, alice: Person) -> None:
    alice.browser.open("/usage")
    locations = {alice.browser.press("Start pay as you go", follow=False).headers["Location"]}
    alice.browser.open("/usage")
    locations.add(alice.browser.press("Start pay as you go", follow=False).headers["Location"])
    assert len(locations) == count(here, Purchase) == 1
    alice.browser.open("/usage")
    stale = alice.browser.form("Start pay as you go")
    start(alice.browser)
    answer = alice.browser.http.post(stale.action, data=stale.fields)
    assert answer.status_code == 409


@pytest.mark.both_databases
def test_the_least_loaded_cluster_is_assigned_once(here: World, alice: Person, monkeypatch: Any) -> None:
    given = here.app.extensions["settings"]
    monkeypatch.setitem(here.app.extensions, "settings", given.model_copy(update={"clusters": ("eu-1", "us-1")}))
    from tests.conftest import person

    found = []
    for someone in (alice, person(here, "dora"), person(here, "erin")):
        start(someone.browser)
        here.flush()
        found.append(one(here, select(Customer.cluster).filter_by(user_id=someone.user_id)))
    assert found == ["eu-1", "us-1", "eu-1"]
    alice.browser.open("/usage")
    assert "Your work runs on eu-1." in alice.browser.text


def test_the_last_card_gone_suspends_and_a_new_one_reactivates(
    here: World, alice: Person, agreed: Reporter
) -> None:
    stripe = here.stripe().v1
    stripe_id = one(here, select(StripeCustomer.stripe_id))
    second = save_card(here, stripe_id)
    here.flush()
    methods = [method.id for method in stripe.customers.payment_methods.list(stripe_id).data]
    stripe.payment_methods.detach(next(method for method in methods if method != second))
    here.flush()
    assert agreed.send(event("a")).status_code == 200  # one is left
    stripe.payment_methods.detach(second)
    here.flush()
    answer = agreed.send(event("b"))
    assert (answer.status_code, answer.json()["code"]) == (402, "suspended")
    assert open_reasons(here) == ["no_payment_method"]
    for path in ("/usage", "/billing", "/keys"):  # pages stay readable
        assert alice.browser.open(path).status_code == 200
        assert "This account is suspended" in alice.browser.text
    alice.browser.open("/usage")
    alice.browser.press("Manage payment method")
    alice.browser.press("Save card", number=CARD, expiration="12 / 34", cvc="123", name="Alice", zip="94107")
    here.flush()
    assert agreed.send(event("b")).status_code == 200
    assert customer(here).suspended_at is None
    assert len(subscriptions(here)) == 1
    assert mails(here) == ["usage_started", "suspended", "reactivated"]
    assert stripe.customers.retrieve(stripe_id).invoice_settings.default_payment_method
    with here.app.app_context():
        actions = set(db.session.execute(select(AuditEntry.action).filter_by(actor="stripe")).scalars())
    assert {"customer.suspended", "customer.reactivated"} <= actions


def test_a_card_removed_without_an_agreement_suspends_nobody(here: World, bob: Person) -> None:
    stripe = here.stripe().v1
    stripe_id = one(here, select(StripeCustomer.stripe_id))
    for method in stripe.customers.payment_methods.list(stripe_id).data:
        stripe.payment_methods.detach(method.id)
    here.flush()
    assert customer(here).suspended_at is None


def test_an_ended_agreement_suspends_until_a_new_one(
    here: World, alice: Person, mark: str, agreed: Reporter
) -> None:
    (made,) = subscriptions(here)
    here.stripe().v1.subscriptions.cancel(made.id)
    here.flush()
    assert agreed.send(event("a")).status_code == 402
    assert open_reasons(here) == ["subscription_ended"]
    for old in events.of_type(here, mark, "checkout.session.completed"):  # an old order starts nothing again
        with here.app.app_context():
            from portal.webhooks import reading, replaying

            replaying.replay(reading.by_id(old["id"]))
    assert [one.status for one in subscriptions(here)] == ["canceled"]
    start(alice.browser)
    here.flush()
    assert agreed.send(event("a")).status_code == 200
    assert sorted(one.status for one in subscriptions(here)) == ["active", "canceled"]
    for canceled in events.of_type(here, mark, "customer.subscription.deleted"):  # told again, it is no news
        events.deliver(here, canceled)
    assert customer(here).suspended_at is None


@pytest.mark.parametrize("kept", ["a plan", "credits", "another agreement"])
def test_an_ended_agreement_suspends_nobody_who_has_something_else(
    here: World, bob: Person, charlie: Person, kept: str
) -> None:
    person = bob if kept == "a plan" else charlie
    start(person.browser)
    here.flush()
    server = reporter(here, person.email)
    with here.app.app_context():
        stripe_id = db.session.execute(
            select(StripeCustomer.stripe_id).filter_by(customer_id=server.customer_id)
        ).scalar_one()
        ended = db.session.execute(
            select(UsageAgreement.subscription_id).filter_by(customer_id=server.customer_id)
        ).scalar_one()
        if kept == "credits":
            ledger.post(server.customer_id, 100, "adjustment", "test")
        if kept == "another agreement":
            db.session.execute(update(UsageAgreement).values(subscription_id="sub_of_another", ended_at=None))
        db.session.commit()
    assert stripe_id
    here.stripe().v1.subscriptions.cancel(ended)
    here.flush()
    assert open_reasons(here) == []
    assert answers(server) == 200


def answers(server: Reporter) -> int:
    receipt = requests.get(f"{server.here.base}/v1/receipt", headers=server.headers, timeout=30)
    return receipt.status_code


@pytest.mark.parametrize("bought", ["a plan", "credits"])
def test_a_purchase_lifts_what_the_end_of_the_agreement_suspended(
    here: World, alice: Person, agreed: Reporter, bought: str
) -> None:
    (made,) = subscriptions(here)
    here.stripe().v1.subscriptions.cancel(made.id)
    here.flush()
    assert answers(agreed) == 402
    if bought == "a plan":
        alice.browser.buy("pro-monthly")
    else:
        with here.app.app_context():
            ledger.post(agreed.customer_id, 100, "adjustment", "test")
            db.session.commit()
    here.flush()
    assert answers(agreed) == 200


def test_what_was_used_before_the_end_is_on_the_bill_of_the_first(
    here: World, app: Flask, alice: Person, agreed: Reporter
) -> None:
    record(agreed.customer_id, ("a", 10, "cpu_hour"))
    (made,) = subscriptions(here)
    here.stripe().v1.subscriptions.cancel(made.id)
    here.flush()
    assert run(app).exit_code == 0
    becomes(here, agreed.customer_id, "paid")
    assert bill_of(agreed.customer_id).amount == 100


def test_two_reasons_are_lifted_one_by_one(here: World, alice: Person, agreed: Reporter) -> None:
    stripe = here.stripe().v1
    stripe_id = one(here, select(StripeCustomer.stripe_id))
    with here.app.app_context():
        suspend(agreed.customer_id)
    for method in stripe.customers.payment_methods.list(stripe_id).data:
        stripe.payment_methods.detach(method.id)
    here.flush()
    assert open_reasons(here) == ["admin", "no_payment_method"]
    alice.browser.open("/usage")
    assert "We suspended this account" in alice.browser.text
    assert "There is no payment method" in alice.browser.text
    save_card(here, stripe_id)
    here.flush()
    assert open_reasons(here) == ["admin"]
    assert answers(agreed) == 402
    assert mails(here) == ["usage_started", "suspended", "suspended"]
    with here.app.app_context():
        suspensions.lift(agreed.customer_id, SuspensionReason.ADMIN, about="by hand")
        db.session.commit()
    assert answers(agreed) == 200
    assert mails(here)[-1] == "reactivated"


def test_a_metered_subscription_made_elsewhere_is_adopted(here: World, bob: Person) -> None:
    stripe_id = one(here, select(StripeCustomer.stripe_id))
    prices = here.stripe().v1.prices.list({"lookup_keys": ["meter_cpu_hour"]}).data
    made = here.stripe().v1.subscriptions.create({"customer": stripe_id, "items": [{"price": prices[0].id}]})
    here.flush()
    assert one(here, select(UsageAgreement.subscription_id)) == made.id
    bob.browser.open("/usage")
    assert "Start pay as you go" not in bob.browser.text


def test_what_an_admin_suspended_no_card_lifts(here: World, alice: Person, agreed: Reporter) -> None:
    with here.app.app_context():
        suspend(agreed.customer_id)
    save_card(here, one(here, select(StripeCustomer.stripe_id)))
    here.flush()
    assert agreed.send(event("a")).status_code == 402


def test_of_a_stranger_s_setup_nothing_is_shown(here: World, alice: Person, charlie: Person) -> None:
    start(alice.browser)
    session_id = one(here, select(Purchase.session_id))
    assert charlie.browser.open(f"/usage/started?session_id={session_id}").status_code == 404
    assert charlie.browser.open("/usage/started").status_code == 400
