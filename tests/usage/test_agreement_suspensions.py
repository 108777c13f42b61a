"""A customer who pays as they go is suspended without a card or an agreement, until they have one again."""

import pytest
import requests
from sqlalchemy import select, update

from portal.credits import ledger
from portal.customers import suspensions
from portal.extensions import db
from portal.models import AuditEntry, Customer, StripeCustomer, UsageAgreement
from portal.models.suspension import SuspensionReason
from tests.conftest import Person
from tests.support import events
from tests.support.browsing import CARD
from tests.support.looking import one, open_suspensions
from tests.support.usage import (
    Reporter,
    agreement_mails,
    event,
    reporter,
    save_card,
    start,
    subscriptions,
    suspend,
)
from tests.support.world import World


def customer(here: World) -> Customer:
    with here.app.app_context():
        return db.session.execute(select(Customer)).scalar_one()


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
    assert open_suspensions(here) == ["no_payment_method"]
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
    assert agreement_mails(here) == ["usage_started", "suspended", "reactivated"]
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
    assert open_suspensions(here) == ["subscription_ended"]
    for old in events.of_type(here, mark, "checkout.session.completed"):  # an old order starts nothing again
        with here.app.app_context():
            from portal.webhooks import replays, search

            replays.replay(search.by_id(old["id"]))
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
    assert open_suspensions(here) == []
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


def test_two_reasons_are_lifted_one_by_one(here: World, alice: Person, agreed: Reporter) -> None:
    stripe = here.stripe().v1
    stripe_id = one(here, select(StripeCustomer.stripe_id))
    with here.app.app_context():
        suspend(agreed.customer_id)
    for method in stripe.customers.payment_methods.list(stripe_id).data:
        stripe.payment_methods.detach(method.id)
    here.flush()
    assert open_suspensions(here) == ["admin", "no_payment_method"]
    alice.browser.open("/usage")
    assert "We suspended this account" in alice.browser.text
    assert "There is no payment method" in alice.browser.text
    save_card(here, stripe_id)
    here.flush()
    assert open_suspensions(here) == ["admin"]
    assert answers(agreed) == 402
    assert agreement_mails(here) == ["usage_started", "suspended", "suspended"]
    with here.app.app_context():
        suspensions.lift(agreed.customer_id, SuspensionReason.ADMIN, about="by hand")
        db.session.commit()
    assert answers(agreed) == 200
    assert agreement_mails(here)[-1] == "reactivated"


def test_what_an_admin_suspended_no_card_lifts(here: World, alice: Person, agreed: Reporter) -> None:
    with here.app.app_context():
        suspend(agreed.customer_id)
    save_card(here, one(here, select(StripeCustomer.stripe_id)))
    here.flush()
    assert agreed.send(event("a")).status_code == 402
