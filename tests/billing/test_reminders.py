"""Reminders by mail, and the receipt afterwards, on a test clock."""

from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask

from portal.billing import invoices
from portal.billing.lifecycle import reminders
from portal.billing.status import banners
from portal.extensions import db
from portal.models.card import SavedCard
from tests.conftest import Person
from tests.support.clocked import START, Clocked, mailed, on_a_clock
from tests.support.world import World


@pytest.fixture
def carol(here: World, app: Flask, alice: Person) -> Clocked:
    """Alice's customer in test mode, on a clock, with a card."""
    return on_a_clock(here, alice.user)


def told(template: str) -> int:
    reminders.run()
    count = len(mailed(template))
    db.session.commit()
    return count


def test_the_end_of_a_trial_is_told_three_days_ahead_and_once(carol: Clocked) -> None:
    carol.subscribe(trial_period_days=14)
    carol.advance(days=10, hours=23)
    assert told("trial_ending") == 0
    carol.advance(hours=2)
    assert [told("trial_ending") for _ in range(2)] == [1, 1]
    facts = mailed("trial_ending")[0].context
    assert facts["ends_at"] == (START + timedelta(days=14)).isoformat()
    assert (facts["plan"], facts["amount"], facts["price"], facts["has_card"]) == (
        "Pro",
        4999,
        ["$49.99 a month"],
        True,
    )
    assert mailed("receipt") == []
    carol.advance(days=3, hours=2)
    [receipt] = mailed("receipt")
    assert (receipt.context["amount"], receipt.context["currency"]) == (4999, "usd")
    assert receipt.context["page"].startswith("http://localhost")


def test_nothing_is_told_of_the_end_of_a_trial_that_was_cancelled(carol: Clocked) -> None:
    made = carol.subscribe(trial_period_days=14)
    carol.stripe.subscriptions.update(made, {"cancel_at_period_end": True})
    carol.advance(days=12)
    assert told("trial_ending") == 0


def test_a_card_in_its_last_month_is_told_of_once(carol: Clocked) -> None:
    carol.subscribe()
    method = carol.stripe.customers.retrieve(carol.stripe_customer).invoice_settings.default_payment_method
    carol.stripe.payment_methods.update(method, {"card": {"exp_month": 3, "exp_year": 2027}})
    carol.advance(days=28)
    assert told("card_expiring") == 0
    carol.advance(days=3)
    assert [told("card_expiring") for _ in range(2)] == [1, 1]
    facts = mailed("card_expiring")[0].context
    assert (facts["last4"], facts["exp_month"], facts["exp_year"], facts["plan"]) == ("4242", 3, 2027, "Pro")
    carol.use_card("pm_card_mastercard")
    carol.settle()
    assert told("card_expiring") == 1


def test_an_invoice_that_is_read_long_after_it_was_paid_brings_no_receipt(carol: Clocked) -> None:
    carol.subscribe()
    paid = carol.stripe.invoices.list({"customer": carol.stripe_customer}).data[0].id
    [receipt] = mailed("receipt")
    db.session.delete(receipt)
    carol.advance(days=4)
    assert invoices.sync("test", paid) == "paid"
    assert mailed("receipt") == []


@pytest.mark.parametrize(("now", "soon"), [((11, 30), False), ((12, 2), True), ((12, 31), True), ((1, 1), False)])
def test_a_card_is_good_until_its_month_is_over(now: tuple[int, int], soon: bool) -> None:
    card = SavedCard("visa", "4242", 12, 2027)
    assert banners.expires_soon(card, datetime(2028 if now[0] == 1 else 2027, *now, tzinfo=UTC)) is soon
