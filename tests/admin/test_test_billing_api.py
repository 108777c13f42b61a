"""`/api/admin/billing-test`: for an admin's session or access token; for anyone else it does not exist."""

from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select

from portal.customers import stripe_customers
from portal.extensions import db
from portal.keys import api_keys
from portal.models import Order, Price
from tests.conftest import PASSWORD, Person
from tests.support.browsing import Browser
from tests.support.looking import one
from tests.support.world import World

PATH = "/api/admin/billing-test"


def token(http: FlaskClient, email: str) -> dict[str, str]:
    sent = {"email": email, "password": PASSWORD}
    return {"Authorization": "Bearer " + http.post("/api/auth/token", json=sent).json["access_token"]}


def test_an_admin_buys_and_looks_by_token(here: World, http: FlaskClient, ada: Person, bob: Person) -> None:
    by_ada = token(http, ada.email)
    for kind, item in (("credits", "basic"), ("plan", "pro-monthly"), ("usage", "usage")):
        sent = {"user": bob.email, "kind": kind, "item": item, "card": "success"}
        made = http.post(PATH, json=sent, headers=by_ada)
        assert (made.status_code, made.json["state"]) == (200, "paid"), made.json
    here.flush()
    found = http.get(f"{PATH}?user={bob.user_id}", headers=by_ada).json
    assert found["credits"] == 5500
    assert {one["status"] for one in found["subscriptions"]} == {"active"}
    assert [one["kind"] for one in found["purchases"]] == ["usage", "plan", "credits"]


def test_a_session_needs_its_csrf_token(here: World, admin: Browser, bob: Person) -> None:
    shown = admin.open(f"{PATH}?user={bob.email}")
    assert shown.json() == {"credits": 0, "subscriptions": [], "purchases": []}
    sent = {"user": bob.email, "kind": "credits", "item": "basic", "card": "decline"}
    url = here.base + PATH
    assert admin.http.post(url, json=sent, timeout=30).json()["code"] == "csrf"
    made = admin.http.post(url, json=sent, headers={"X-CSRFToken": shown.headers["X-CSRFToken"]}, timeout=30)
    assert (made.status_code, made.json()["state"]) == (200, "failed")


def test_anyone_else_finds_nothing(
    here: World, http: FlaskClient, ada: Person, bob: Person, support: Browser
) -> None:
    with here.app.app_context():
        _, ada_s_key = api_keys.mint(stripe_customers.of(ada.user), "Server")
        db.session.commit()
    for headers in (
        {},
        token(http, bob.email),
        {"Authorization": f"Bearer {ada_s_key}"},
        {"Authorization": "Bearer x"},
    ):
        for answer in (http.get(f"{PATH}?user=1", headers=headers), http.post(PATH, json={}, headers=headers)):
            assert (answer.status_code, answer.content_type) == (404, "application/problem+json")
    assert support.open(f"{PATH}?user=1").status_code == 404


def test_bad_choices_are_refused_by_name(here: World, http: FlaskClient, ada: Person, bob: Person) -> None:
    by_ada = token(http, ada.email)
    good = {"user": bob.email, "kind": "credits", "item": "basic", "card": "success"}
    for field, value in {"user": "nobody@example.com", "kind": "gold", "item": "gold", "card": "gold"}.items():
        answer = http.post(PATH, json=good | {field: value}, headers=by_ada)
        assert (answer.status_code, list(answer.json["errors"])) == (400, [field])
    assert http.get(PATH, headers=by_ada).status_code == 400


def test_the_same_key_buys_once_and_stands_for_one_purchase(
    here: World, http: FlaskClient, ada: Person, bob: Person
) -> None:
    by_ada = token(http, ada.email)

    def ask(item: str, key: str) -> Any:
        sent = {"user": bob.email, "kind": "credits", "item": item}
        return http.post(PATH, json=sent, headers=by_ada | {"Idempotency-Key": key})

    first = ask("basic", "once").json
    assert ask("basic", "once").json["number"] == first["number"]
    assert ask("pro", "once").json["code"] == "idempotency_key_reused"
    assert ask("basic", "two words").status_code == 400
    assert ask("basic", "twice").json["number"] != first["number"]


TAKEN = {
    "a plan": ("plan", "pro", "pro-monthly"),
    "a plan and its cycle": ("plan", "pro-yearly", "pro-yearly"),
    "a plan that is sold monthly alone": ("plan", "enterprise", "enterprise-monthly"),
    "a price at Stripe": ("plan", None, "starter-monthly"),
    "a package's key": ("credits", "basic", "basic"),
    "a package's id": ("credits", 2, "basic"),
    "a package's id as text": ("credits", "2", "basic"),
}


@pytest.mark.parametrize(("kind", "item", "bought"), TAKEN.values(), ids=TAKEN)
def test_the_item_is_named_as_in_other_calls(
    here: World, http: FlaskClient, ada: Person, bob: Person, kind: str, item: Any, bought: str
) -> None:
    item = item or one(here, select(Price.test_price_id).filter_by(key="starter-monthly"))
    sent = {"user": bob.email, "kind": kind, "item": item}
    made = http.post(PATH, json=sent, headers=token(http, ada.email))
    assert (made.status_code, made.json.get("item"), made.json.get("state")) == (200, bought, "paid"), made.json


def test_a_custom_amount_is_bought(here: World, http: FlaskClient, ada: Person, bob: Person) -> None:
    sent = {"user": bob.email, "kind": "credits", "item": "custom", "amount": 25}
    made = http.post(PATH, json=sent, headers=token(http, ada.email))
    assert (made.status_code, made.json["amount"], made.json["state"]) == (200, 2500, "paid"), made.json


REFUSED: dict[str, tuple[str, Any, str]] = {
    "an unknown plan": ("plan", "platinum", "pro-monthly"),
    "a hidden plan": ("plan", "beta", "starter-yearly"),
    "the free plan": ("plan", "free-monthly", "enterprise-monthly"),
    "an unknown package": ("credits", 99, "custom"),
    "a package's number with a sign": ("credits", "-1", "basic"),
    "a package's number in other digits": ("credits", "²", "basic"),
    "nothing": ("plan", "", ""),
}


@pytest.mark.parametrize(("kind", "item", "valid"), REFUSED.values(), ids=REFUSED)
def test_the_error_lists_what_is_valid(
    here: World, http: FlaskClient, ada: Person, bob: Person, kind: str, item: Any, valid: str
) -> None:
    sent = {"user": bob.email, "kind": kind, "item": item}
    refused = http.post(PATH, json=sent, headers=token(http, ada.email))
    assert refused.status_code == 400, refused.json
    assert valid in refused.json["errors"]["item"]
    assert "beta" not in refused.json["errors"]["item"]
    assert "free" not in refused.json["errors"]["item"]
    if valid:
        assert valid in refused.json["valid"]


def test_a_form_that_is_sent_twice_orders_once(here: World, admin: Browser, bob: Person) -> None:
    admin.open(f"/admin/test-billing/{bob.user_id}")
    form = admin.form("Create test purchase")
    sent = form.fields | {"item": "credits:basic", "card": "success", "trial": "0"}
    for _ in range(2):
        assert admin.http.post(form.action, data=sent, timeout=30).ok
    assert one(here, select(func.count()).select_from(Order).filter_by(mode="test")) == 1
