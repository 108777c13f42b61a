"""Free trials: displayed, granted once per customer and card; promotion codes and taxes at checkout."""

from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update

from portal.billing.lifecycle import trial_ends
from portal.extensions import db
from portal.models import Order, Plan, Subscription, TrialUse
from portal.orders import sessions
from portal.settings import Settings
from tests.conftest import Person
from tests.support.clocked import mailed
from tests.support.world import World

MASTERCARD = "5555 5555 5555 4444"


@pytest.fixture
def trial(here: World, app: Flask) -> None:
    """Give Pro 14 free days."""
    db.session.execute(update(Plan).filter_by(key="pro").values(trial_days=14))
    db.session.commit()


def statuses(here: World) -> list[str]:
    db.session.commit()
    here.flush()
    db.session.expire_all()
    found = list(db.session.execute(select(Subscription.status).order_by(Subscription.id)).scalars())
    db.session.commit()
    return found


@pytest.mark.usefixtures("trial")
def test_a_trial_is_said_given_and_not_given_again_after_leaving(here: World, alice: Person) -> None:
    browser = alice.browser
    browser.open("/pricing")
    assert "14 days free, then $49.99 a month" in browser.text
    assert "A free trial is there once for each customer and each card." in browser.text
    browser.buy("pro-monthly")
    assert "14 days free" in browser.text
    assert browser.receipt(browser.reveal()).json()["tier"] == "pro"
    assert statuses(here) == ["trialing"]
    assert mailed("receipt") == []
    db.session.rollback()  # the page syncs, and so writes
    browser.open("/billing")
    assert "Your trial runs until" in browser.text
    subscription = db.session.execute(select(Subscription.stripe_id)).scalar_one()
    here.stripe().v1.subscriptions.cancel(subscription)
    assert statuses(here) == ["canceled"]
    browser.open("/pricing")
    assert "days free" not in browser.text
    browser.buy("pro-monthly", MASTERCARD)
    assert statuses(here) == ["canceled", "active"]
    assert [use.state for use in db.session.execute(select(TrialUse)).scalars()] == ["granted"]


@pytest.mark.usefixtures("trial")
def test_a_second_trial_by_the_same_card_ends_at_once_and_is_said(
    here: World, alice: Person, charlie: Person
) -> None:
    alice.browser.buy("pro-monthly")
    charlie.browser.buy("pro-monthly")
    assert statuses(here) == ["trialing", "trialing"]
    here.fail(next=2, path="/v1/subscriptions", status=500)
    assert trial_ends.run() == 0
    here.calm()
    here.deliveries(hold=True)
    assert [trial_ends.run() for _ in range(2)] == [1, 0]
    assert statuses(here) == ["trialing", "active"]
    [mail] = mailed("trial_ended_early")
    assert (mail.user.email, mail.context["plan"], mail.context["price"]) == (
        "charlie@example.com",
        "Pro",
        ["$49.99 a month"],
    )
    assert [receipt.user.email for receipt in mailed("receipt")] == ["charlie@example.com"]
    db.session.commit()
    charlie.browser.open("/billing")
    assert "This plan began without a trial" in charlie.browser.text
    alice.browser.open("/billing")
    assert "without a trial" not in alice.browser.text


@pytest.mark.usefixtures("trial")
def test_a_trial_given_by_the_operator_is_let_be(here: World, alice: Person, charlie: Person) -> None:
    alice.browser.buy("pro-monthly")
    charlie.browser.choose("pro-monthly")  # makes the customer at Stripe
    name = db.session.execute(select(Order).order_by(Order.id.desc())).scalars().first().params["customer"]
    stripe = here.stripe().v1
    method = stripe.payment_methods.attach("pm_card_visa", {"customer": name}).id
    price = stripe.prices.list({"lookup_keys": ["pro_monthly"]}).data[0].id
    given = {"customer": name, "items": [{"price": price}], "trial_period_days": 30}
    stripe.subscriptions.create({**given, "default_payment_method": method})
    assert statuses(here) == ["trialing", "trialing"]
    assert trial_ends.run() == 0


@pytest.mark.usefixtures("trial")
def test_a_trial_may_need_no_card(here: World, alice: Person) -> None:
    db.session.execute(update(Plan).values(trial_needs_card=False))
    db.session.commit()
    alice.browser.choose("pro-monthly")
    alice.browser.press("Subscribe", name="Alice")
    assert "/billing/success" in alice.browser.page.url, alice.browser.text
    assert statuses(here) == ["trialing"]
    subscription = db.session.execute(select(Subscription)).scalar_one()
    assert subscription.card is None
    kept = here.stripe().v1.subscriptions.retrieve(subscription.stripe_id)
    assert kept.trial_settings.end_behavior.missing_payment_method == "cancel"


def test_a_promotion_code_lowers_the_bill_and_the_order_is_fulfilled(
    here: World, app: Flask, alice: Person
) -> None:
    stripe = here.stripe().v1
    coupon = stripe.coupons.create({"percent_off": 50, "duration": "once"}).id
    stripe.promotion_codes.create({"promotion": {"type": "coupon", "coupon": coupon}, "code": "SPRING"})
    alice.browser.choose("pro-monthly")
    alice.browser.press("Apply", promotion_code="SPRING")
    alice.browser.pay()
    assert statuses(here) == ["active"]
    assert db.session.execute(select(Order.state)).scalar_one() == "paid"
    assert [mail.context["amount"] for mail in mailed("receipt")] == [2499]


@pytest.mark.parametrize(
    ("percent", "duration", "first", "following"),
    [(100, "forever", "$0.00", "$0.00"), (50, "forever", "$24.99", "$24.99"), (50, "once", "$24.99", "$49.99")],
)
def test_the_next_payment_is_shown_with_its_discount(
    here: World, alice: Person, percent: int, duration: Any, first: str, following: str
) -> None:
    stripe, code = here.stripe().v1, f"FRIEND{percent}{duration.upper()}"
    coupon = stripe.coupons.create({"percent_off": percent, "duration": duration}).id
    stripe.promotion_codes.create({"promotion": {"type": "coupon", "coupon": coupon}, "code": code})
    alice.browser.choose("pro-monthly")
    alice.browser.press("Apply", promotion_code=code)
    alice.browser.pay()
    here.flush()
    alice.browser.open("/billing")
    assert f"Next payment {following} on" in alice.browser.text
    assert f"Paid {first}" in alice.browser.text


def order(**facts: Any) -> Order:
    return Order(**{"amount": 4999, "currency": "usd", "params": {}, **facts})


def session(**facts: Any) -> Any:
    known = {"amount_subtotal": 4999, "amount_total": 4999, "amount_discount": 0, "amount_tax": 0}
    return SimpleNamespace(**known | {"currency": "usd"} | facts)


CODES: dict[str, Any] = {"params": {"allow_promotion_codes": True}}
FREE_FIRST: dict[str, Any] = {"params": {"subscription_data": {"trial_period_days": 14}}}


@pytest.mark.parametrize(
    ("made", "asked", "fits"),
    [
        ({}, {}, True),
        ({}, {"currency": "eur"}, False),
        ({}, {"amount_subtotal": 100, "amount_total": 100}, False),
        ({}, {"amount_subtotal": 0, "amount_total": 0}, False),
        ({}, {"amount_total": 100}, False),
        ({}, {"amount_total": 2499, "amount_discount": 2500}, False),
        (CODES, {"amount_total": 2499, "amount_discount": 2500}, True),
        (CODES, {"amount_total": 2000, "amount_discount": 2500}, False),
        ({"payment_link": "plink_1"}, {"amount_total": 2499, "amount_discount": 2500}, True),
        ({}, {"amount_total": 5999, "amount_tax": 1000}, True),
        ({}, {"amount_total": 4999, "amount_tax": 833}, True),
        (CODES, {"amount_total": 2999, "amount_discount": 2500, "amount_tax": 500}, True),
        (FREE_FIRST, {"amount_subtotal": 0, "amount_total": 0}, True),
        (FREE_FIRST, {"amount_subtotal": 100, "amount_total": 100}, False),
    ],
)
def test_a_session_fits_its_order_less_codes_and_plus_taxes(
    made: dict[str, Any], asked: dict[str, Any], fits: bool
) -> None:
    assert sessions.fits(order(**made), session(**asked)) is fits


def test_what_the_settings_ask_for_is_asked_at_checkout(
    here: World, app: Flask, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: Settings = app.extensions["settings"]
    asked = {"checkout_address": True, "checkout_tax_ids": True, "automatic_tax": True}
    monkeypatch.setitem(app.extensions, "settings", settings.model_copy(update=asked))
    alice.browser.choose("pro-monthly")
    made = here.stripe().v1.checkout.sessions.list({"limit": 1}).data[0]
    assert (made.billing_address_collection, made.tax_id_collection.enabled) == ("required", True)
    assert made.automatic_tax.enabled
    address = {"line1": "1 Main Street", "city": "Springfield", "postal_code": "94107", "country": "US"}
    alice.browser.pay(**address)
    assert "/billing/success" in alice.browser.page.url, alice.browser.text
    assert statuses(here) == ["active"]
