"""Buying credits by the JSON API."""

import pytest
import requests
from sqlalchemy import select

from portal.extensions import db
from portal.models import Order
from tests.conftest import Person
from tests.support import browsing
from tests.support.credits import balance, begin, session_id
from tests.support.world import World


@pytest.fixture
def key(alice: Person) -> str:
    return key_of(alice)


def key_of(person: Person) -> str:
    person.browser.open("/keys")
    person.browser.press("Create key", name="server")
    return browsing.key_in(person.browser.page.text)


def ask(here: World, key: str, method: str, path: str, body: object = None, **headers: str) -> requests.Response:
    headers = {"Authorization": f"Bearer {key}"} | headers
    return requests.request(method, f"{here.base}/api/credits{path}", json=body, headers=headers, timeout=30)


@pytest.mark.parametrize("package", [2, "basic"])
def test_a_purchase_by_the_api(here: World, alice: Person, key: str, package: object) -> None:
    answer = ask(here, key, "POST", "/purchase", {"package_id": package, "payment_method": "stripe"})
    assert answer.status_code == 200, answer.text
    facts = answer.json()
    assert (facts["success"], facts["message"]) == (True, "Checkout session created")
    alice.browser.open(facts["payment_url"])
    alice.browser.pay(follow=False)
    order = facts["payment_url"].split("/c/pay/")[1].split("#")[0]
    session = ask(here, key, "GET", f"/session/{order}").json()
    assert session["success"] is True
    found = session["session"]
    assert (found["id"], found["payment_status"], found["amount_total"]) == (order, "paid", 4500)
    assert found["metadata"]["kind"] == "credits"
    assert balance(here) == 5500


def test_a_custom_purchase_by_the_api(here: World, alice: Person, key: str) -> None:
    answer = ask(here, key, "POST", "/purchase", {"package_id": "custom", "amount": 25})
    assert answer.status_code == 200, answer.text
    with here.app.app_context():
        assert db.session.execute(select(Order.credits, Order.amount)).one() == (2500, 2500)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"package_id": 6}, "package_id"),
        ({"package_id": 0}, "package_id"),
        ({"package_id": -1}, "package_id"),
        ({"package_id": 100}, "package_id"),
        ({"package_id": "gold"}, "package_id"),
        ({}, "package_id"),
        ({"package_id": 1, "payment_method": "paypal"}, "payment_method"),
        ({"package_id": 1, "amount": 5}, "amount"),
        ({"package_id": "custom"}, "amount"),
        ({"package_id": "custom", "amount": 0}, "amount"),
        ({"package_id": "custom", "amount": -1}, "amount"),
        ({"package_id": "custom", "amount": 1.5}, "amount"),
        ({"package_id": "custom", "amount": 0.001}, "amount"),
        ({"package_id": "custom", "amount": 1001}, "amount"),
        ({"package_id": "custom", "amount": 1e300}, "amount"),
        ({"package_id": "custom", "amount": 10**18}, "amount"),
        ({"package_id": 1, "quantity": 2}, "quantity"),
    ],
)
def test_a_bad_purchase_names_its_field(here: World, key: str, body: object, field: str) -> None:
    answer = ask(here, key, "POST", "/purchase", body)
    assert answer.status_code == 400, answer.text
    assert any(name.startswith(field) for name in answer.json()["errors"]), answer.text
    assert answer.json()["success"] is False
    with here.app.app_context():
        assert db.session.execute(select(Order)).first() is None


def test_a_stranger_s_session_by_the_api_is_not_found(
    here: World, alice: Person, charlie: Person, key: str
) -> None:
    begin(charlie)
    order = session_id(here)
    for given in (order, "cs_live_never", "cs_live_' OR 1"):
        assert ask(here, key, "GET", f"/session/{given}").status_code == 404


def test_an_idempotency_key_gives_the_same_checkout_and_stands_for_one_purchase(
    here: World, alice: Person, key: str
) -> None:
    def buy(package: int, again: str) -> requests.Response:
        return ask(here, key, "POST", "/purchase", {"package_id": package}, **{"Idempotency-Key": again})

    first, second, other = (buy(2, again).json()["payment_url"] for again in ("a", "a", "b"))
    assert first == second != other
    refused = buy(3, "a")
    assert (refused.status_code, refused.json()["code"]) == (409, "idempotency_key_reused")
    for bad in ("", "x" * 201, "two words"):
        assert buy(2, bad).status_code == 400
        assert "idempotency_key" in buy(2, bad).json()["errors"]


def test_a_key_of_one_customer_is_not_another_s(here: World, alice: Person, charlie: Person, key: str) -> None:
    urls = {
        ask(here, each, "POST", "/purchase", {"package_id": 2}, **{"Idempotency-Key": "a"}).json()["payment_url"]
        for each in (key, key_of(charlie))
    }
    assert len(urls) == 2
