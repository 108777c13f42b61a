"""A refund whose response is lost is found, never made twice, and at last decided by a person."""

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from portal.credits.top_ups import top_ups
from portal.extensions import db
from portal.models import OpenCall, Payment, RefundRequest
from portal.payments import refunds
from portal.sync import idempotency, open_calls
from tests.admin.conftest import admin as admin
from tests.conftest import Person
from tests.credits.test_top_ups import keen as keen
from tests.support.ages import age
from tests.support.browsing import Browser
from tests.support.open_calls import ACTED, CUT, FAILED, audited, open_ones, state
from tests.support.reversals import give_back, refunded
from tests.support.world import World


@pytest.fixture
def payment(here: World, app: Flask, keen: Person) -> Payment:
    """Alice's payment for 5,500 credits."""
    top_ups.run()
    here.flush()
    db.session.rollback()
    found = db.session.execute(select(Payment)).scalar_one()
    db.session.commit()
    return found


def outcome(payment: Payment) -> str:
    """Refund $5, and return the outcome."""
    try:
        give_back(payment)
    except idempotency.StripeUnavailable as reason:
        return reason.code
    return "done"


def test_a_refund_that_was_made_and_answered_with_500_is_found_at_once(here: World, payment: Payment) -> None:
    here.fail(path="/v1/refunds", **ACTED)
    assert outcome(payment) == "done"
    assert (refunded(here, payment.stripe_id), state(RefundRequest), open_ones()) == ([500], "done", [])


def test_a_refund_without_an_answer_is_asked_for_again_with_the_same_key(here: World, payment: Payment) -> None:
    here.fail(path="/v1/refunds", **CUT)
    assert outcome(payment) == "stripe_unavailable"
    here.calm()
    age(OpenCall, minutes=2)
    assert open_calls.run() == 1
    assert (refunded(here, payment.stripe_id), state(RefundRequest), open_ones()) == ([500], "done", [])


def late(here: World, payment: Payment) -> None:
    """Make the refund that Stripe failed to make at first."""
    order = db.session.execute(select(RefundRequest.id)).scalar_one()
    db.session.commit()
    params = {"payment_intent": payment.stripe_id, "amount": 500}
    here.stripe().v1.refunds.create(params | {"metadata": {"portal_mode": "live", "refund_order": str(order)}})


@pytest.mark.parametrize("by", ["tick", "webhook"])
def test_a_refund_that_stripe_makes_later_is_found(here: World, payment: Payment, by: str) -> None:
    here.fail(path="/v1/refunds", **FAILED)
    assert outcome(payment) == "effect_unclear"
    assert open_calls.run() == 1
    assert (refunded(here, payment.stripe_id), state(RefundRequest)) == ([], "open")
    late(here, payment)
    if by == "tick":
        open_calls.run()
    else:
        here.flush()
        db.session.rollback()
    assert (refunded(here, payment.stripe_id), state(RefundRequest), open_ones()) == ([500], "done", [])


def unclear(here: World, payment: Payment) -> OpenCall:
    here.fail(path="/v1/refunds", **FAILED)
    assert outcome(payment) == "effect_unclear"
    age(OpenCall, hours=24, minutes=1)
    open_calls.run()
    assert (refunded(here, payment.stripe_id), state(RefundRequest)) == ([], "unclear")
    [call] = open_ones()
    assert call.unclear_at
    return call


def test_after_a_day_a_person_does_it_again(here: World, payment: Payment, admin: Browser) -> None:
    unclear(here, payment)
    assert open_calls.run() == 0
    assert give_back_refused(payment)
    admin.open("/admin")
    assert "Stripe calls to check" in admin.text
    assert "Refund $5.00" in admin.text
    admin.press("Repeat the call")
    assert "asked of Stripe once more" in admin.text
    assert "Stripe calls to check" not in admin.open("/admin").text
    assert (refunded(here, payment.stripe_id), state(RefundRequest), open_ones()) == ([500], "done", [])
    assert {"refund.unclear", "stripe_call.unclear", "stripe_call.done_again", "refund.done"} <= set(audited())


def give_back_refused(payment: Payment) -> bool:
    """Check that a second form for the same payment is refused."""
    with pytest.raises(refunds.Conflict):
        give_back(payment, "another form")
    db.session.rollback()
    return True


def test_after_a_day_a_person_says_that_it_happened(here: World, payment: Payment, admin: Browser) -> None:
    unclear(here, payment)
    admin.open("/admin")
    answer = admin.press("It happened", stripe_id="re_unknown")
    assert answer.status_code == 409
    made = here.stripe().v1.refunds.create({"payment_intent": payment.stripe_id, "amount": 500})
    admin.open("/admin")
    admin.press("It happened", stripe_id=made.id)
    assert "It happened" in admin.text
    assert (refunded(here, payment.stripe_id), state(RefundRequest), open_ones()) == ([500], "done", [])
    assert "stripe_call.happened" in audited()


def test_parameters_that_changed_with_a_release_leave_the_refund_open(
    here: World, payment: Payment, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.fail(path="/v1/refunds", **CUT)
    assert outcome(payment) == "stripe_unavailable"
    here.calm()
    ask = refunds.gateway.Lane.create_refund

    def changed(lane: refunds.gateway.Lane, params: dict[str, Any], key: str) -> Any:
        return ask(lane, params | {"reason": "requested_by_customer"}, key)

    monkeypatch.setattr(refunds.gateway.Lane, "create_refund", changed)
    monkeypatch.setattr(refunds, "_at_stripe", lambda order, named: None)  # as if it did not list it yet
    age(OpenCall, minutes=2)
    open_calls.run()
    assert [call.reason for call in open_ones()] == ["other_parameters"]
    assert (refunded(here, payment.stripe_id), state(RefundRequest)) == ([500], "open")
    monkeypatch.undo()
    open_calls.run()
    assert (refunded(here, payment.stripe_id), state(RefundRequest), open_ones()) == ([500], "done", [])
