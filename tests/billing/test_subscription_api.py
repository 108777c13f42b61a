"""The plan in the JSON API: ordered, read, managed and cancelled, with a key and with a token."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import requests
from sqlalchemy import func, select, update

from portal import clock
from portal.customers import stripe_customers
from portal.extensions import db
from portal.keys import api_keys
from portal.models import Customer, Order, Subscription, UsageAgreement
from tests.billing.test_api import call, problem
from tests.conftest import PASSWORD, Person
from tests.support.looking import one
from tests.support.usage import start
from tests.support.world import World

Ask = Callable[..., requests.Response]
PREFIX = "/api/v1/billing"


def by_key(here: World, person: Person) -> str:
    with here.app.app_context():
        _, secret = api_keys.mint(stripe_customers.of(person.user), "Server")
        db.session.commit()
    return secret


def by_token(here: World, person: Person) -> str:
    body = {"email": person.email, "password": PASSWORD}
    return str(requests.post(f"{here.base}/api/auth/token", json=body, timeout=30).json()["access_token"])


@pytest.fixture(params=[by_key, by_token])
def bearer(request: pytest.FixtureRequest) -> Callable[[World, Person], str]:
    """A key, and an access token: every call takes both."""
    return request.param  # type: ignore[no-any-return]


def test_a_plan_is_bought_seen_and_cancelled(here: World, alice: Person, bearer: Callable[..., str]) -> None:
    secret = bearer(here, alice)
    before = call(here, secret, f"{PREFIX}/subscription", method="GET").json()
    assert (before["plan"], before["status"], before["id"]) == ("free", "free", None)
    assert before["entitlements"]["requests_per_month"] == 1000

    begun = call(here, secret, f"{PREFIX}/checkout", {"plan_name": "pro", "billing_cycle": "yearly"}).json()
    assert begun.keys() == {"checkout_url", "session_id"}
    alice.browser.open(begun["checkout_url"])
    alice.browser.pay()
    here.flush()

    now = call(here, secret, f"{PREFIX}/subscription", method="GET").json()
    assert (now["plan"], now["plan_name"], now["status"], now["billing_cycle"]) == (
        "pro",
        "Pro",
        "active",
        "yearly",
    )
    assert (now["amount"], now["currency"], now["cancel_at_period_end"]) == (47999, "usd", False)
    assert now["entitlements"]["streaming"] is True

    told = problem(call(here, secret, f"{PREFIX}/checkout", {"plan_name": "starter"}), 409)
    assert told["change_url"] == f"{here.base}/billing/change"

    why = {"reason": "too_expensive", "comment": "Too much for now."}
    ended = call(here, secret, f"{PREFIX}/cancel", why).json()
    assert (ended["plan"], ended["cancel_at_period_end"]) == ("pro", True)
    assert ended["cancel_at"] == now["current_period_end"]
    details = here.stripe().v1.subscriptions.retrieve(now["id"]).cancellation_details
    assert details is not None
    assert (details.feedback, details.comment) == ("too_expensive", "Too much for now.")
    assert problem(call(here, secret, f"{PREFIX}/cancel"), 409)["code"] == "nothing_to_cancel"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "plan_name"),
        ({"plan_name": "free"}, "plan_name"),
        ({"plan_name": "gold"}, "plan_name"),
        ({"plan_name": "beta"}, "plan_name"),
        ({"plan_name": "enterprise", "billing_cycle": "yearly"}, "plan_name"),
        ({"plan_name": "pro", "billing_cycle": "weekly"}, "billing_cycle"),
        ({"plan_name": ["pro"]}, "plan_name"),
        ({"plan_name": "pro", "price": 1}, "price"),
    ],
    ids=str,
)
def test_a_plan_that_is_not_sold_is_refused_by_field(
    here: World, alice: Person, body: dict[str, Any], field: str
) -> None:
    problem(call(here, by_key(here, alice), f"{PREFIX}/checkout", body), 400, field)
    with here.app.app_context():
        assert db.session.execute(select(func.count()).select_from(Order)).scalar_one() == 0


def test_bad_reasons_are_refused_and_nothing_ends(here: World, bob: Person) -> None:
    key = by_key(here, bob)
    problem(call(here, key, f"{PREFIX}/cancel", {"reason": "bored"}), 400, "reason")
    problem(call(here, key, f"{PREFIX}/cancel", {"comment": "x" * 1001}), 400, "comment")
    assert call(here, key, f"{PREFIX}/subscription", method="GET").json()["cancel_at_period_end"] is False


def test_who_has_no_plan_has_nothing_to_cancel(here: World, alice: Person) -> None:
    assert problem(call(here, by_key(here, alice), f"{PREFIX}/cancel"), 409)["code"] == "nothing_to_cancel"


def test_the_portal_opens_for_who_never_bought(here: World, alice: Person, bearer: Callable[..., str]) -> None:
    answer = call(here, bearer(here, alice), f"{PREFIX}/portal")
    assert alice.browser.open(answer.json()["portal_url"]).ok


def test_a_suspended_person_can_reach_the_portal_and_a_key_cannot(here: World, alice: Person) -> None:
    key, token = by_key(here, alice), by_token(here, alice)
    with here.app.app_context():
        db.session.execute(update(Customer).values(suspended_at=clock.now()))
        db.session.commit()
    assert problem(call(here, key, f"{PREFIX}/portal"), 402)["code"] == "suspended"
    assert call(here, token, f"{PREFIX}/portal").status_code == 200
    spend = {"amount": 1, "reference": "r"}
    assert problem(call(here, token, "/api/credits/spend", spend), 402)["code"] == "suspended"


def test_cancel_ends_the_plan_and_never_the_agreement(here: World, bob: Person) -> None:
    start(bob.browser)
    here.flush()
    with here.app.app_context():
        past = {"status": "past_due", "past_due_since": clock.now() - timedelta(days=30)}
        db.session.execute(update(Subscription).where(Subscription.tier == "pro").values(past))
        db.session.commit()
    plan = one(here, select(Subscription.stripe_id).where(Subscription.tier == "pro"))
    answer = call(here, by_key(here, bob), f"{PREFIX}/cancel")
    assert answer.status_code == 200
    assert here.stripe().v1.subscriptions.retrieve(plan).cancel_at_period_end
    usage = one(here, select(UsageAgreement.subscription_id))
    assert not here.stripe().v1.subscriptions.retrieve(usage).cancel_at_period_end


def test_cancel_without_a_plan_leaves_the_agreement_alone(here: World, alice: Person) -> None:
    start(alice.browser)
    here.flush()
    answer = call(here, by_key(here, alice), f"{PREFIX}/cancel")
    assert problem(answer, 409)["code"] == "nothing_to_cancel"
