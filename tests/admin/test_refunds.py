"""Refunds that Stripe refuses or does not answer: reported correctly, and made once."""

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import delete, select

from portal.extensions import db
from portal.models import OpenCall, Payment, RefundRequest
from portal.payments import refunds
from portal.sync import open_calls
from tests.admin.test_customers import bought_credits
from tests.conftest import Person
from tests.support.ages import age
from tests.support.browsing import Browser, Form
from tests.support.world import World


@pytest.fixture
def form(here: World, admin: Browser, bob: Person) -> Form:
    """The refund form of Bob's payment for 5,500 credits."""
    here.flush()
    bought_credits(here, bob)
    with here.app.app_context():
        payment = db.session.execute(select(Payment.id).filter_by(kind="credits")).scalar_one()
    admin.open(f"/admin/customers/{bob.user_id}/refund?payment={payment}")
    return admin.form("Refund")


def send(admin: Browser, form: Form, **values: str) -> int:
    admin.page = admin.http.post(form.action, data=form.fields | values, timeout=30)
    return admin.page.status_code


def orders(here: World) -> list[tuple[int, str]]:
    with here.app.app_context():
        query = select(RefundRequest.amount, RefundRequest.state).order_by(RefundRequest.id)
        return [(amount, state) for amount, state in db.session.execute(query)]


def test_a_refused_refund_stays_refused_when_the_form_is_sent_again(
    here: World, admin: Browser, form: Form
) -> None:
    with here.app.app_context():
        intent = db.session.execute(select(Payment.stripe_id).filter_by(kind="credits")).scalar_one()
    here.control(f"disputes/{intent}")  # Stripe refunds nothing of a payment that is disputed
    for _ in range(2):
        assert send(admin, form) == 409
        assert "Nothing was given back." in admin.text
    assert orders(here) == [(4500, "failed")]


def test_what_was_refunded_at_stripe_meanwhile_is_seen_before_more_is_given(
    here: World, admin: Browser, form: Form
) -> None:
    with here.app.app_context():
        intent = db.session.execute(select(Payment.stripe_id).filter_by(kind="credits")).scalar_one()
    here.stripe().v1.refunds.create({"payment_intent": intent, "amount": 3000})  # nobody told us yet
    assert send(admin, form, amount="15.00") == 409
    assert "since the page was opened" in admin.text
    assert orders(here) == []
    assert at_stripe(here) == [3000]


def test_a_form_is_for_one_amount(here: World, admin: Browser, form: Form) -> None:
    assert send(admin, form, amount="5.00") == 200
    assert send(admin, form, amount="5.00") == 200
    assert send(admin, form, amount="6.00") == 409
    assert orders(here) == [(500, "done")]


def at_stripe(here: World) -> list[int]:
    with here.app.app_context():
        intent = db.session.execute(select(Payment.stripe_id).filter_by(kind="credits")).scalar_one()
    return [one.amount for one in here.stripe().v1.refunds.list({"payment_intent": intent}).data]


def get_no_answer(here: World, admin: Browser, form: Form) -> None:
    here.fail(next=2, path="/v1/refunds", method="POST", status=200, after=True)
    assert send(admin, form, amount="5.00") == 503
    here.calm()
    assert orders(here) == [(500, "open")]


def test_a_refund_without_an_answer_is_finished_by_time(
    here: World, app: Flask, admin: Browser, form: Form
) -> None:
    get_no_answer(here, admin, form)
    assert open_calls.run() == 0  # its request may still be at it
    age(OpenCall, minutes=2)
    assert open_calls.run() == 1
    assert orders(here) == [(500, "done")]
    assert at_stripe(here) == [500]


def test_a_refund_that_a_crash_left_open_is_finished_by_time(
    here: World, app: Flask, admin: Browser, form: Form, monkeypatch: pytest.MonkeyPatch
) -> None:
    get_no_answer(here, admin, form)
    db.session.execute(delete(OpenCall))
    db.session.commit()
    monkeypatch.setattr(refunds, "LEFT_AFTER", timedelta(0))
    assert refunds.run() == 1
    assert orders(here) == [(500, "done")]
    assert at_stripe(here) == [500]


def test_after_a_day_it_is_looked_for_and_not_asked_twice(
    here: World, app: Flask, admin: Browser, form: Form
) -> None:
    get_no_answer(here, admin, form)
    age(OpenCall, hours=23, minutes=1)
    assert open_calls.run() == 1
    assert orders(here) == [(500, "done")]
    assert at_stripe(here) == [500]
