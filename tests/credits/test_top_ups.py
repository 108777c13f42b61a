"""Automatic top-ups: off by default, with consent, never twice and never over the cap."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
import time_machine
from sqlalchemy import select

from portal import clock
from portal.credits import ledger
from portal.credits.top_ups import rules, top_ups
from portal.extensions import db
from portal.models import CreditEntry, Customer, Order, OutboxMail, StripeCustomer, TopUpRule
from tests.conftest import Person
from tests.support.credits import balance
from tests.support.looking import one
from tests.support.world import World

TERMS = {"threshold": "1000", "package": "basic", "monthly_cap": "$100", "consent": "y"}


def custom(amount: str, **terms: str) -> dict[str, str]:
    """Terms of a custom amount, in dollars."""
    return {"package": "custom", "custom_amount": amount, **terms}


def save_card(here: World, card: str = "pm_card_visa") -> None:
    """Save a card with the one Stripe customer that the portal knows."""
    with here.app.app_context():
        stripe_id = db.session.execute(select(StripeCustomer.stripe_id)).scalar_one()
    stripe = here.stripe().v1
    method = stripe.payment_methods.attach(card, {"customer": stripe_id})
    stripe.customers.update(stripe_id, {"invoice_settings": {"default_payment_method": method.id}})


@pytest.fixture
def keen(here: World, alice: Person) -> Person:
    """Alice with a saved card and an automatic top-up: below 1,000 credits, buy Basic, up to $100."""
    alice.browser.open("/credits")
    alice.browser.press("Turn on top-up", **TERMS)  # makes her customer at Stripe; there is no card yet
    assert "no saved card" in alice.browser.text
    save_card(here)
    alice.browser.open("/credits")
    alice.browser.press("Turn on top-up", **TERMS)
    assert "The automatic top-up is on." in alice.browser.text
    return alice


def begin_anew(here: World, person: Person, **ago: float) -> None:
    """Let the account have begun anew, as by its owner's verification, so many seconds or hours ago."""
    with here.app.app_context():
        person.user.begun_anew_at = clock.now() - timedelta(**ago)
        db.session.commit()


def tick(here: World) -> int:
    with here.app.app_context():
        return top_ups.run()


def age(here: World, **by: float) -> None:
    """Make every attempt older, as if that much time had passed."""
    with here.app.app_context():
        for order in db.session.execute(select(Order)).scalars():
            order.created_at -= timedelta(**by)
        for rule in db.session.execute(select(TopUpRule).where(TopUpRule.next_try_at.is_not(None))).scalars():
            rule.next_try_at -= timedelta(**by)
        db.session.commit()


def use_up(here: World) -> None:
    with here.app.app_context():
        customer_id = db.session.execute(select(Customer.id)).scalar_one()
        if left := ledger.balance(customer_id):
            ledger.spend(customer_id, left, f"work-{clock.now():%H%M%S%f}")
        db.session.commit()


def mails(here: World, template: str) -> int:
    with here.app.app_context():
        return len(db.session.execute(select(OutboxMail.id).filter_by(template=template)).all())


def states(here: World) -> list[str]:
    with here.app.app_context():
        return list(db.session.execute(select(Order.state).order_by(Order.id)).scalars())


def test_it_is_off_until_somebody_agrees(here: World, alice: Person) -> None:
    alice.browser.open("/credits")
    assert "Automatic top-up Off" in alice.browser.text
    answer = alice.browser.press("Turn on top-up", **TERMS | {"consent": ""})
    assert answer.status_code == 400
    assert "Without your agreement nothing is charged." in alice.browser.text
    assert tick(here) == 0


def test_a_card_is_saved_on_stripe_s_own_page(here: World, alice: Person) -> None:
    """Also by who has no plan: the button is on the credits page."""
    alice.browser.open("/credits")
    alice.browser.press("Save a card")
    card = {
        "number": "4242 4242 4242 4242",
        "expiration": "12 / 34",
        "cvc": "123",
        "name": "Alice",
        "zip": "94107",
    }
    alice.browser.press("Save card", **card)
    alice.browser.open("/credits")
    alice.browser.press("Turn on top-up", **TERMS)
    assert "The automatic top-up is on." in alice.browser.text
    assert tick(here) == 1


def test_it_buys_once_when_credits_run_low(here: World, keen: Person) -> None:
    assert [tick(here), tick(here)] == [1, 0]
    assert balance(here) == 5500
    here.flush()
    assert balance(here) == 5500
    intent = here.stripe().v1.payment_intents.list({"limit": 1}).data[0]
    assert (intent.amount, intent.metadata["auto"], intent.receipt_email) == (4500, "true", "alice@example.com")
    assert mails(here, "credits_added") == 1
    keen.browser.open("/credits")
    assert "Paid" in keen.browser.text
    assert "$45.00 of $100.00 were charged this month" in keen.browser.text


@pytest.mark.both_databases
def test_two_tickers_at_once_charge_once(here: World, keen: Person) -> None:
    start = Barrier(4)

    def one() -> int:
        start.wait()
        return tick(here)

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(lambda _: one(), range(4))) == 1
    assert states(here) == ["paid"]
    assert balance(here) == 5500


def test_at_most_once_in_ten_minutes(here: World, keen: Person) -> None:
    tick(here)
    use_up(here)
    assert tick(here) == 0
    age(here, minutes=11)
    assert tick(here) == 1
    assert balance(here) == 5500


def test_never_over_the_cap_of_the_month(here: World, keen: Person) -> None:
    middle = clock.now().replace(day=15, hour=12)  # what ages may not fall into the month before
    age(here, days=31)  # the rule too, which is then due in the middle
    with time_machine.travel(middle):
        for _ in range(4):
            tick(here)
            use_up(here)
            age(here, minutes=11)
    assert states(here) == ["paid", "paid"]


def test_a_declined_card_is_tried_later_and_in_the_end_not_at_all(here: World, keen: Person) -> None:
    save_card(here, "pm_card_chargeCustomerFail")
    assert tick(here) == 0
    age(here, minutes=30)
    tick(here)
    assert states(here) == ["failed"]
    age(here, minutes=40)
    tick(here)
    assert states(here) == ["failed"] * 2
    age(here, hours=1)
    tick(here)
    assert states(here) == ["failed"] * 2
    age(here, hours=2)
    tick(here)
    assert states(here) == ["failed"] * 3
    assert mails(here, "top_up_failed") == 3
    age(here, days=9)
    tick(here)
    assert states(here) == ["failed"] * 3
    assert "declined several times" in keen.browser.open("/credits").text
    assert balance(here) == 0


def test_a_card_that_asks_for_authentication_pauses_it_and_mails_a_link(here: World, keen: Person) -> None:
    save_card(here, "pm_card_authenticationRequired")
    assert tick(here) == 0
    assert states(here) == ["failed"]
    with here.app.app_context():
        letter = db.session.execute(select(OutboxMail).filter_by(template="top_up_failed")).scalar_one()
        assert letter.context["page"] == f"{here.base}/credits"
        assert letter.context["paused"] is True
    age(here, days=2)
    assert tick(here) == 0
    assert "Your bank asks you to confirm" in keen.browser.open("/credits").text
    save_card(here)
    keen.browser.press("Save top-up", package="basic", consent="y")
    assert tick(here) == 1


def test_turned_off_nothing_is_charged(here: World, keen: Person) -> None:
    keen.browser.open("/credits")
    keen.browser.press("Turn off top-up")
    assert "is off" in keen.browser.text
    assert tick(here) == 0
    with here.app.app_context():
        assert db.session.execute(select(TopUpRule.consent_at)).scalar_one() is None


@pytest.mark.parametrize("fault", [{"after": True, "status": 200}, {"status": 409}, {"hang": True}], ids=str)
def test_a_lost_answer_charges_once(here: World, keen: Person, fault: dict[str, object]) -> None:
    here.fail(next=2, path="/v1/payment_intents", **fault)
    tick(here)
    age(here, minutes=2)
    here.fail(next=0)
    tick(here)
    here.flush()
    assert balance(here) == 5500
    assert states(here) == ["paid"]


def test_the_webhook_alone_completes_a_top_up(here: World, keen: Person) -> None:
    """The process died between the call and its answer."""
    here.fail(next=2, path="/v1/payment_intents", after=True, status=200)
    tick(here)
    here.fail(next=0)
    here.flush()
    assert balance(here) == 5500
    assert states(here) == ["paid"]


def test_a_top_up_is_refunded_like_any_purchase(here: World, keen: Person) -> None:
    tick(here)
    intent = here.stripe().v1.payment_intents.list({"limit": 1}).data[0].id
    here.stripe().v1.refunds.create({"payment_intent": intent, "amount": 900})
    here.flush()
    assert balance(here) == 4400


@pytest.mark.parametrize(
    ("field", "terms"),
    [
        *(("threshold", {"threshold": value}) for value in ("0", "-5", "1.5", "")),
        ("package", {"package": "gold"}),
        *(("monthly_cap", {"monthly_cap": value}) for value in ("44.99", "much", "")),
        *(("custom_amount", custom(value)) for value in ("", "0", "-5", "25.50", "ten")),
        ("custom_amount", custom("1001", monthly_cap="$2000")),
        ("monthly_cap", custom("50", monthly_cap="$49.99")),
    ],
    ids=str,
)
def test_bad_terms_are_said_at_their_field(here: World, alice: Person, field: str, terms: dict[str, str]) -> None:
    alice.browser.open("/credits")
    assert alice.browser.press("Turn on top-up", **TERMS | terms).status_code == 400
    assert f'href="#{field}"' in alice.browser.page.text
    with here.app.app_context():
        assert db.session.execute(select(TopUpRule)).first() is None


def test_another_amount_than_a_package_s_tops_up_by_it(here: World, keen: Person) -> None:
    keen.browser.open("/credits")
    keen.browser.press("Save top-up", **custom("$25"), consent="y")
    assert "The automatic top-up is on." in keen.browser.text
    assert tick(here) == 1
    assert balance(here) == 2500
    keen.browser.open("/credits")
    assert keen.browser.form("Save top-up").fields["custom_amount"] == "$25"


def test_nobody_else_s_ledger_moves(here: World, keen: Person, charlie: Person) -> None:
    charlie.browser.open("/credits")
    charlie.browser.press("Save", low_balance_at="10")
    tick(here)
    with here.app.app_context():
        owner = select(Customer.id).filter_by(user_id=keen.user_id)
        entries = db.session.execute(select(CreditEntry.customer_id)).scalars().all()
        assert entries == [db.session.execute(owner).scalar_one()]
        assert rules.charged_this_month(entries[0], clock.now()) == 4500


def test_a_card_from_before_the_account_began_anew_is_not_charged(here: World, keen: Person) -> None:
    begin_anew(here, keen, seconds=-1)  # whole seconds: the card is of this one
    assert tick(here) == 0
    assert one(here, select(TopUpRule.paused_reason)) == "no_card"
    stripe_id = one(here, select(StripeCustomer.stripe_id))
    assert here.stripe().v1.payment_intents.list({"customer": stripe_id}).data == []
    keen.browser.open("/credits")
    keen.browser.press("Save top-up", **TERMS)
    assert "no saved card" in keen.browser.text
    begin_anew(here, keen, hours=1)
    keen.browser.open("/credits")
    keen.browser.press("Save top-up", **TERMS)
    assert tick(here) == 1
