"""Pay as you go: the card first, then the one metered subscription; without a card keys stop."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update

from portal import clock
from portal.extensions import db
from portal.models import Customer, Order, StripeCustomer, Subscription, UsageAgreement
from tests.conftest import Person
from tests.support import events
from tests.support.clicks import again, at_once
from tests.support.looking import count, one
from tests.support.operators import ask, operator_key
from tests.support.usage import (
    Reporter,
    agreement_mails,
    becomes,
    bill_of,
    record,
    reporter,
    run,
    start,
    subscriptions,
)
from tests.support.world import World

METERS = 4


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
    assert one(here, select(Order.subscription_id)) == made.id
    assert agreement_mails(here) == ["usage_started"]
    alice.browser.open("/billing")
    assert "Pay as you go" in alice.browser.text


@pytest.mark.parametrize("first", ["webhook", "page", "both at once"])
def test_webhook_and_page_make_one_in_any_order(here: World, alice: Person, mark: str, first: str) -> None:
    start(alice.browser, back=False)
    session_id = one(here, select(Order.session_id))
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
    assert agreement_mails(here) == ["usage_started"]


def test_a_lost_answer_makes_no_second_subscription(here: World, alice: Person) -> None:
    start(alice.browser, back=False)
    here.fail(next=2, after=True, hang=True, path="/v1/subscriptions")
    session_id = one(here, select(Order.session_id))
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
    assert len(locations) == count(here, Order) == 1
    alice.browser.open("/usage")
    stale = alice.browser.form("Start pay as you go")
    start(alice.browser)
    assert again(alice.browser, stale).status_code == 409
    assert "Pay as you go is on already" in alice.browser.text


@pytest.mark.both_databases
def test_a_start_that_is_sent_twice_at_once_is_one(here: World, alice: Person) -> None:
    alice.browser.open("/usage")
    form = alice.browser.form("Start pay as you go")
    pages = at_once(alice.browser, form, form, form)
    assert {page.status_code for page in pages} == {200}
    assert len({page.url for page in pages}) == count(here, Order) == 1
    start(alice.browser)
    here.flush()
    assert len(subscriptions(here)) == count(here, UsageAgreement) == 1


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


def test_the_cluster_is_in_the_api_and_on_the_admins_page(
    here: World, alice: Person, ada: Person, monkeypatch: Any
) -> None:
    given = here.app.extensions["settings"]
    monkeypatch.setitem(here.app.extensions, "settings", given.model_copy(update={"clusters": ("eu-1",)}))
    key, services = reporter(here, alice.email), operator_key(here, "customers:read")
    paths = {"/v1/receipt": key.key, "/api/v1/entitlements": key.key}
    paths[f"/api/v1/customers/{key.customer_id}"] = services

    def told() -> list[str | None]:
        return [ask(here, "GET", path, secret).json()["cluster"] for path, secret in paths.items()]

    assert told() == [None, None, None]
    start(alice.browser)
    here.flush()
    assert told() == ["eu-1", "eu-1", "eu-1"]
    ada.browser.open(f"/admin/customers/{alice.user_id}")
    assert "<dd>eu-1</dd>" in "".join(ada.browser.page.text.split())


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


def test_a_metered_subscription_made_elsewhere_is_adopted(here: World, bob: Person) -> None:
    stripe_id = one(here, select(StripeCustomer.stripe_id))
    prices = here.stripe().v1.prices.list({"lookup_keys": ["meter_cpu_hour"]}).data
    made = here.stripe().v1.subscriptions.create({"customer": stripe_id, "items": [{"price": prices[0].id}]})
    here.flush()
    assert one(here, select(UsageAgreement.subscription_id)) == made.id
    bob.browser.open("/usage")
    assert "Start pay as you go" not in bob.browser.text


def test_of_a_stranger_s_setup_nothing_is_shown(here: World, alice: Person, charlie: Person) -> None:
    start(alice.browser)
    session_id = one(here, select(Order.session_id))
    assert charlie.browser.open(f"/usage/started?session_id={session_id}").status_code == 404
    assert charlie.browser.open("/usage/started").status_code == 400
