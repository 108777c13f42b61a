"""Cancelling a plan at the period's end, resuming it, and the messages about it."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from flask import Flask
from sqlalchemy import select

from portal import clock
from portal.billing import cancellation
from portal.customers import access
from portal.errors import StripeUnavailable
from portal.extensions import db
from portal.models import AuditEntry, Customer, OutboxMail, Subscription, SubscriptionChange
from tests.conftest import Person
from tests.support.addresses import token
from tests.support.looking import count, one, tier
from tests.support.world import World


def at_stripe(here: World) -> Any:
    return here.stripe().v1.subscriptions.retrieve(one(here, select(Subscription.stripe_id)))


def cancel(bob: Person, **answers: str) -> None:
    bob.browser.open("/billing/cancel")
    bob.browser.press("Cancel at period end", **answers)


def test_a_cancelled_plan_stays_to_the_end_of_what_is_paid(here: World, bob: Person) -> None:
    bob.browser.open("/billing/cancel")
    assert "You keep everything until" in bob.browser.text
    bob.browser.press("Cancel at period end", reason="too_expensive", comment="  Too much for me  ")
    assert "Your plan is cancelled" in bob.browser.text
    assert "Your Pro plan ends on" in bob.browser.text
    assert "None; access until" in bob.browser.text
    subscription = at_stripe(here)
    assert subscription.cancel_at_period_end
    assert subscription.cancellation_details.feedback == "too_expensive"
    assert subscription.cancellation_details.comment == "Too much for me"
    assert tier(here) == "pro"
    assert one(here, select(SubscriptionChange.state)) == "done"


def test_a_cancelled_plan_is_resumed_with_one_click(here: World, bob: Person) -> None:
    cancel(bob)
    bob.browser.press("Resume plan")
    assert "Your plan goes on as before" in bob.browser.text
    assert "Renews on" in bob.browser.text
    assert not at_stripe(here).cancel_at_period_end
    here.flush()
    with here.app.app_context():
        told = db.session.execute(select(AuditEntry.action, AuditEntry.actor).order_by(AuditEntry.id)).all()
    actions = [action for action, _actor in told if action.startswith("subscription.")]
    assert actions == ["subscription.activated", "subscription.cancelled", "subscription.resumed"]
    assert ("subscription.cancelled", "user") in told


def test_one_that_was_cancelled_at_stripe_in_the_other_shape_shows_the_same_and_is_resumed(
    here: World, bob: Person
) -> None:
    subscription = at_stripe(here)
    end = subscription["items"].data[0].current_period_end
    here.stripe().v1.subscriptions.update(subscription.id, {"cancel_at": end})
    here.flush()
    bob.browser.open("/billing")
    assert "Your Pro plan ends on" in bob.browser.text
    bob.browser.press("Resume plan")
    assert at_stripe(here).cancel_at is None
    assert one(here, select(Subscription.cancel_at)) is None


def test_a_trial_is_cancelled_to_its_end_and_resumed_with_the_same_end(here: World, bob: Person) -> None:
    ends = int(clock.now().timestamp()) + 10 * 86400
    subscription_id = at_stripe(here).id
    with here.app.app_context():
        customer = db.session.execute(select(Subscription.stripe_customer)).scalar_one()
        price = db.session.execute(select(Subscription.price_id)).scalar_one()
    here.stripe().v1.subscriptions.cancel(subscription_id)
    trial = here.stripe().v1.subscriptions.create(
        {"customer": customer, "items": [{"price": price}], "trial_end": ends}
    )
    here.flush()
    bob.browser.open("/billing/cancel")
    assert "Your trial goes on until" in bob.browser.text
    bob.browser.press("Cancel at period end")
    bob.browser.press("Resume plan")
    again = here.stripe().v1.subscriptions.retrieve(trial.id)
    assert (again.trial_end, again.status, again.cancel_at_period_end) == (ends, "trialing", False)


def test_nobody_cancels_twice_or_resumes_what_is_over(here: World, bob: Person) -> None:
    bob.browser.open("/billing/cancel")
    form = bob.browser.form("Cancel at period end")
    cancel(bob)
    again = bob.browser.http.post(form.action, data=form.fields)
    assert again.status_code == 409
    assert "cancelled already" in again.text
    assert bob.browser.open("/billing/cancel").status_code == 409
    bob.browser.open("/billing")
    form = bob.browser.form("Resume plan")
    here.stripe().v1.subscriptions.cancel(at_stripe(here).id)
    here.flush()
    late = bob.browser.http.post(form.action, data=form.fields)
    assert late.status_code == 409
    assert "has ended" in late.text


def test_whoever_has_nothing_or_somebody_else_s_is_told_so(here: World, alice: Person, bob: Person) -> None:
    theirs = one(here, select(Subscription.stripe_id))
    assert alice.browser.open("/billing/cancel").status_code == 409
    assert "You have no plan that could be cancelled" in alice.browser.text
    assert alice.browser.open(f"/billing/cancel?subscription={theirs}").status_code == 404
    for path in ("/billing/cancel", "/billing/resume-plan"):
        data = {"csrf_token": token(alice.browser), "subscription": theirs}
        assert alice.browser.http.post(here.base + path, data=data).status_code == 404


@pytest.mark.parametrize(("field", "value"), [("reason", "no such reason"), ("comment", "x" * 1001)])
def test_what_cannot_be_a_reason_is_refused_by_name(here: World, bob: Person, field: str, value: str) -> None:
    bob.browser.open("/billing/cancel")
    answer = bob.browser.press("Cancel at period end", **{field: value})
    assert answer.status_code == 400
    assert "Please check what you entered" in bob.browser.text
    assert count(here, SubscriptionChange) == 0


@pytest.mark.both_databases
def test_of_two_tabs_at_once_one_wins_and_the_other_is_told(here: World, bob: Person) -> None:
    bob.browser.open("/billing/cancel")
    form = bob.browser.form("Cancel at period end")
    cookies = bob.browser.http.cookies.get_dict()

    def press(_tab: int) -> int:
        return requests.post(form.action, form.fields, cookies=cookies, allow_redirects=False).status_code

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(press, range(4)))
    assert answers.count(303) == 1
    assert set(answers) <= {303, 409}
    assert count(here, SubscriptionChange) == 1
    assert at_stripe(here).cancel_at_period_end


def test_a_lost_answer_is_asked_for_again_with_the_same_key(here: World, bob: Person, app: Flask) -> None:
    customer = db.session.execute(select(Customer)).scalar_one()
    db.session.commit()
    here.fail(next=2, after=True, path="/v1/subscriptions/")
    with pytest.raises(StripeUnavailable):
        cancellation.cancel(customer, "unused")
    change = db.session.execute(select(SubscriptionChange)).scalar_one()
    assert (change.state, change.attempt, change.called_at) == ("open", 1, None)
    cancellation.cancel(customer, "unused")
    assert db.session.execute(select(SubscriptionChange.state)).scalars().all() == ["done"]


def test_while_stripe_is_down_nothing_is_lost_and_another_wish_may_follow(
    here: World, bob: Person, app: Flask
) -> None:
    customer = db.session.execute(select(Customer)).scalar_one()
    db.session.commit()
    here.fail(next=2, status=500, path="/v1/subscriptions/")
    bob.browser.open("/billing/cancel")
    answer = bob.browser.press("Cancel at period end", reason="unused")
    assert answer.status_code == 503
    cancellation.cancel(customer, "other")
    by_age = select(SubscriptionChange.state).order_by(SubscriptionChange.id)
    assert db.session.execute(by_age).scalars().all() == ["failed", "done"]
    assert access.of(customer).tier == "pro"


def test_a_cancellation_is_mailed_once_wherever_it_was_made(here: World, bob: Person) -> None:
    here.stripe().v1.subscriptions.update(at_stripe(here).id, {"cancel_at_period_end": True})
    here.flush()
    here.stripe().v1.subscriptions.cancel(at_stripe(here).id)
    here.flush()
    with here.app.app_context():
        found = db.session.execute(select(OutboxMail).filter_by(template="cancelled")).scalar_one()
    assert found.context["plan_name"] == "Pro"
    assert found.context["at"]
