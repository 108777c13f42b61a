"""`/api/admin/billing-test`: by an admin's session or access token, and for anyone else not there."""

from typing import Any

from flask.testing import FlaskClient

from portal.extensions import db
from portal.keys import minting
from portal.purchases import customers
from tests.conftest import PASSWORD, Person
from tests.support.browsing import Browser
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
        _, ada_s_key = minting.mint(customers.of(ada.user), "Server")
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
