"""The effects of a failed payment, on a test clock: mails, the free tier, and recovery with the payment."""

from datetime import datetime, timedelta

import pytest
import requests
from flask import Flask
from sqlalchemy import select, update

from portal import jobs
from portal.billing.lifecycle import dunning, invoice_voids
from portal.customers import access
from portal.extensions import db
from portal.keys import api_keys
from portal.models import AuditEntry, Invoice, Subscription, Voiding
from tests.conftest import Person
from tests.support.clocked import START, Clocked, mailed, on_a_clock
from tests.support.world import World

GRACE = timedelta(days=7)


@pytest.fixture
def carol(here: World, app: Flask, alice: Person) -> Clocked:
    """Alice's customer in test mode, on a clock, paying for Pro with a card that will be declined."""
    someone = on_a_clock(here, alice.user)
    someone.subscribe()
    someone.use_card("pm_card_chargeCustomerFail")
    someone.settle()
    return someone


def tiers(clocked: Clocked, key: str) -> tuple[str, str]:
    """Return the tier by our function, and the one that a product's server gets, from a cache."""
    header = {"Authorization": f"Bearer {key}"}
    answer = requests.get(f"{clocked.here.base}/v1/receipt", headers=header, timeout=30).json()
    tier = access.of(clocked.customer).tier
    db.session.commit()
    return tier, answer["tier"]


def reminders() -> list[str]:
    jobs.tick()
    found = [row.key.rpartition(":")[2] for row in mailed("payment_failed")]
    db.session.commit()
    return found


def test_a_whole_story_of_dunning(carol: Clocked) -> None:
    _, key = api_keys.mint(carol.customer, "Server")
    db.session.commit()
    assert tiers(carol, key) == ("pro", "pro")
    carol.advance(days=28, hours=2)  # renewed on 28 February, tried an hour later
    assert carol.customer.clock_at == START + timedelta(days=28, hours=2)
    subscription = db.session.execute(select(Subscription)).scalar_one()
    assert (subscription.status, subscription.past_due_since) == ("past_due", START + timedelta(days=28))
    assert [reminders() for _ in range(2)] == [["first"]] * 2
    [mail] = mailed("payment_failed")
    until = START + timedelta(days=28) + GRACE
    assert (mail.context["until"], mail.context["ended"]) == (until.isoformat(), False)
    assert (mail.context["amount"], mail.context["plan"]) == (4999, "Pro")
    assert datetime.fromisoformat(mail.context["again"]) > START + timedelta(days=28)
    carol.advance(days=3, hours=12)
    assert reminders() == ["first", "half"]
    carol.advance(days=3)
    assert reminders() == ["first", "half", "last"]
    assert tiers(carol, key) == ("pro", "pro")
    carol.advance(hours=12)
    assert tiers(carol, key) == ("free", "free")
    carol.use_card("pm_card_visa")
    invoice = carol.stripe.invoices.list({"customer": carol.stripe_customer, "status": "open"}).data[0]
    carol.stripe.invoices.pay(invoice.id)
    carol.settle()
    assert tiers(carol, key) == ("pro", "pro")
    assert reminders() == ["first", "half", "last"]


def test_a_renewal_that_the_bank_asks_about_is_to_be_confirmed(here: World, app: Flask, alice: Person) -> None:
    carol = on_a_clock(here, alice.user)
    carol.subscribe()
    carol.use_card("pm_card_authenticationRequired")
    carol.advance(days=28, hours=2)
    jobs.tick()
    assert [mail.context["amount"] for mail in mailed("confirm_payment")] == [4999]
    assert mailed("payment_failed") == []
    invoice = db.session.execute(select(Invoice).filter_by(status="open")).scalar_one()
    assert invoice.needs_action
    assert mailed("confirm_payment")[0].context["page"] == invoice.hosted_url
    db.session.commit()
    alice.browser.open(invoice.hosted_url or "")
    alice.browser.press("Confirm payment")
    alice.browser.press("Complete")
    carol.settle()
    status, needs = db.session.execute(select(Invoice.status, Invoice.needs_action).filter_by(id=invoice.id)).one()
    assert (status, needs, access.of(carol.customer).status) == ("paid", False, "active")


def test_who_was_away_for_a_week_gets_one_mail_that_tells_how_it_stands(carol: Clocked) -> None:
    carol.advance(days=36)
    assert reminders() == ["last"]
    assert mailed("payment_failed")[0].context["ended"]


@pytest.mark.parametrize(
    ("grace", "after", "stage"), [(7, 0, "first"), (7, 4, "half"), (7, 6, "last"), (1, 0, "last"), (0, 0, "last")]
)
def test_the_stages_of_any_grace_period(grace: int, after: int, stage: str) -> None:
    assert dunning.stage(START, timedelta(days=grace), START + timedelta(days=after)) == stage


def test_what_is_open_of_an_ended_plan_is_voided_and_can_be_paid_no_more(here: World, carol: Clocked) -> None:
    carol.advance(days=28, hours=2)
    subscription = db.session.execute(select(Subscription)).scalar_one()
    db.session.commit()
    carol.stripe.subscriptions.cancel(subscription.stripe_id)
    carol.settle()
    here.fail(next=2, path="/v1/invoices", status=500)
    assert invoice_voids.run() == 0
    here.calm()
    assert invoice_voids.run() == 1
    assert invoice_voids.run() == 0
    invoice = db.session.execute(select(Invoice).order_by(Invoice.id.desc()).limit(1)).scalar_one()
    assert invoice.status == "void"
    assert carol.stripe.invoices.retrieve(invoice.stripe_id).status == "void"
    [entry] = db.session.execute(select(AuditEntry).filter_by(action="invoice.voided")).scalars()
    assert (entry.subject, entry.customer_id) == (invoice.stripe_id, carol.customer_id)


def test_an_invoice_that_was_paid_in_the_last_moment_stays_paid(here: World, carol: Clocked) -> None:
    carol.advance(days=28, hours=2)
    carol.use_card("pm_card_visa")
    subscription = db.session.execute(select(Subscription)).scalar_one()
    open_one = db.session.execute(select(Invoice.stripe_id).filter_by(status="open")).scalar_one()
    db.session.commit()
    carol.stripe.subscriptions.cancel(subscription.stripe_id)
    carol.settle()
    carol.stripe.invoices.pay(open_one)  # its webhook is late
    assert invoice_voids.run() == 1
    invoice = db.session.execute(select(Invoice).filter_by(stripe_id=open_one)).scalar_one()
    assert (invoice.status, db.session.execute(select(Voiding.state)).scalar_one()) == ("paid", "done")


def test_what_was_used_stays_owed_when_its_subscription_ends(here: World, carol: Clocked) -> None:
    carol.advance(days=28, hours=2)
    db.session.execute(update(Subscription).values(tier=None, status="canceled"))
    db.session.commit()
    assert invoice_voids.run() == 0
    assert reminders() == []
