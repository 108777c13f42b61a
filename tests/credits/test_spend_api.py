"""Balance, transactions and spending, as a product's servers call them with an API key."""

import json
from typing import Any

import pytest
import requests

from portal.credits import ledger
from portal.extensions import db
from portal.keys import api_keys
from portal.models import Customer
from tests.support.books import a_customer, a_grant, assert_balanced, entries_of
from tests.support.world import World


class Product:
    """A product's server with its customer's key."""

    def __init__(self, here: World, name: str, mode: str = "live", credits: int = 0) -> None:
        self.base = here.base
        with here.app.app_context():
            self.customer_id = a_customer(name, mode)
            if credits:
                ledger.post(self.customer_id, credits, "purchase", "cs_1", description="Starter")
            _, self.key = api_keys.mint(db.session.get(Customer, self.customer_id), "product")
            db.session.commit()
            db.session.remove()

    def call(self, method: str, path: str, **kwargs: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        return requests.request(method, f"{self.base}/api/credits/{path}", headers=headers, timeout=30, **kwargs)

    def spend(self, **body: Any) -> requests.Response:
        return self.call("POST", "spend", data=json.dumps(body))  # requests' own json refuses NaN

    def get(self, path: str) -> dict[str, Any]:
        answer = self.call("GET", path)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
def dora(here: World) -> Product:
    """A product whose customer has 1,000 credits."""
    return Product(here, "dora", credits=1000)


def problem(answer: requests.Response, status: int, code: str, *fields: str) -> dict[str, Any]:
    """The answer as problem+json of this status and code, about these fields, with `success: false`."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    told = answer.json()
    assert (told["success"], told["status"], told["code"]) == (False, status, code)
    assert set(told.get("errors", ())) == set(fields)
    return told


def test_a_spend_answers_the_new_balance_and_again_the_same(dora: Product) -> None:
    first = dora.spend(amount=300, reference="call-1", description="Summary of a report")
    assert first.status_code == 200, first.text
    told = first.json()
    assert (told["success"], told["balance"]) == (True, 700)
    assert told["transaction"]["amount"] == -300
    assert told["transaction"]["created_at"].endswith("Z")
    dora.spend(amount=1, reference="call-2")
    assert dora.spend(amount=300, reference="call-1", description="Summary of a report").json() == told
    assert dora.get("balance")["balance"] == 699


@pytest.mark.parametrize(("cost", "left"), [(0.02, 997), ("0.02", 997), (1, 885), (0.0001, 999)])
def test_a_cost_is_spent_with_the_catalogue_s_markup(dora: Product, cost: Any, left: int) -> None:
    answer = dora.spend(cost=cost, reference="call-1")
    assert answer.status_code == 200, answer.text
    assert answer.json()["balance"] == left


def test_too_few_credits_answer_402_with_where_to_buy_more(here: World, dora: Product) -> None:
    told = problem(dora.spend(amount=1001, reference="call-1"), 402, "insufficient_credits")
    assert (told["balance"], told["required"]) == (1000, 1001)
    assert told["top_up_url"] == f"{here.base}/credits"
    assert dora.get("balance")["balance"] == 1000


def test_a_reference_for_another_amount_is_refused(dora: Product) -> None:
    dora.spend(amount=10, reference="call-1")
    problem(dora.spend(amount=11, reference="call-1"), 409, "reference_reused", "reference")
    assert dora.get("balance")["balance"] == 990


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"amount": 0, "reference": "r"}, "amount"),
        ({"amount": -5, "reference": "r"}, "amount"),
        ({"amount": 10**18, "reference": "r"}, "amount"),
        ({"amount": 10**30, "reference": "r"}, "amount"),
        ({"amount": 1.5, "reference": "r"}, "amount"),
        ({"amount": "5", "reference": "r"}, "amount"),
        ({"amount": True, "reference": "r"}, "amount"),
        ({"cost": 0, "reference": "r"}, "cost"),
        ({"cost": -1, "reference": "r"}, "cost"),
        ({"cost": "much", "reference": "r"}, "cost"),
        ({"cost": True, "reference": "r"}, "cost"),
        ({"cost": float("nan"), "reference": "r"}, "cost"),
        ({"cost": "Infinity", "reference": "r"}, "cost"),
        ({"cost": 1e300, "reference": "r"}, "cost"),
        ({"cost": "1e-300", "reference": "r"}, "cost"),
        ({"amount": 5}, "reference"),
        ({"amount": 5, "reference": ""}, "reference"),
        ({"amount": 5, "reference": "x" * 256}, "reference"),
        ({"amount": 5, "reference": "a\x00b"}, "reference"),
        ({"amount": 5, "reference": "\ud800"}, "reference"),
        ({"amount": 5, "reference": 7}, "reference"),
        ({"amount": 5, "reference": "r", "description": "x" * 256}, "description"),
        ({"amount": 5, "reference": "r", "customer_id": 1}, "customer_id"),
    ],
)
def test_bad_input_is_refused_by_its_field(dora: Product, body: dict[str, Any], field: str) -> None:
    problem(dora.spend(**body), 400, "invalid_input", field)
    assert dora.get("balance")["balance"] == 1000


@pytest.mark.parametrize("body", [{"reference": "r"}, {"reference": "r", "amount": 5, "cost": 1}])
def test_a_spend_takes_either_an_amount_or_a_cost(dora: Product, body: dict[str, Any]) -> None:
    problem(dora.spend(**body), 400, "invalid_input", "amount", "cost")


def test_the_balance_says_what_expires_when(here: World, dora: Product) -> None:
    with here.app.app_context():
        a_grant(dora.customer_id, 50, 7)
        db.session.remove()
    told = dora.get("balance")
    assert (told["balance"], told["spendable"], told["mode"]) == (1050, 1050, "live")
    assert [one["credits"] for one in told["expiring"]] == [50]
    dora.spend(amount=20, reference="call-1")
    assert [one["credits"] for one in dora.get("balance")["expiring"]] == [30]


def test_transactions_come_newest_first_in_pages(here: World, dora: Product) -> None:
    stranger = Product(here, "emil", credits=77)
    for number in range(4):
        dora.spend(amount=1, reference=f"call-{number}")
    first = dora.get("transactions?limit=3")
    rest = dora.get(f"transactions?limit=3&cursor={first['next_cursor']}")
    assert rest["next_cursor"] is None
    shown = first["transactions"] + rest["transactions"]
    assert [one["reference"] for one in shown] == ["call-3", "call-2", "call-1", "call-0", "cs_1"]
    assert [one["balance_after"] for one in shown] == [996, 997, 998, 999, 1000]
    assert len(stranger.get("transactions")["transactions"]) == 1


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=x", "limit"),
        ("cursor=-1", "cursor"),
        ("cursor=next", "cursor"),
        (f"cursor={2**63}", "cursor"),
        ("cursor=²", "cursor"),
    ],
)
def test_a_page_that_cannot_be_is_refused(dora: Product, query: str, field: str) -> None:
    problem(dora.call("GET", f"transactions?{query}"), 400, "invalid_input", field)


def test_a_test_key_sees_and_spends_test_credits_alone(here: World, dora: Product) -> None:
    in_test = Product(here, "dora", mode="test", credits=5)
    assert (in_test.get("balance")["balance"], in_test.get("balance")["mode"]) == (5, "test")
    problem(in_test.spend(amount=6, reference="call-1"), 402, "insufficient_credits")
    assert in_test.spend(amount=5, reference="call-1").json()["balance"] == 0
    assert dora.get("balance")["balance"] == 1000


def test_without_a_key_nothing_is_told(here: World, dora: Product) -> None:
    for method, path in (("GET", "balance"), ("GET", "transactions"), ("POST", "spend")):
        answer = requests.request(method, f"{here.base}/api/credits/{path}", json={}, timeout=30)
        problem(answer, 401, "unauthorised")
    problem(requests.get(f"{here.base}/api/credits/nothing", timeout=30), 404, "not_found")


def test_the_ledger_holds_exactly_what_was_answered(here: World, dora: Product) -> None:
    for number in range(3):
        dora.spend(amount=100, reference=f"call-{number % 2}")
    with here.app.app_context():
        assert [reason for reason, _, _ in entries_of(dora.customer_id)] == ["purchase", "spend", "spend"]
        assert assert_balanced(dora.customer_id) == 800
        db.session.remove()
