"""The calls of a separate console and of a product with an API key."""

from typing import Any

import pytest
import requests
from sqlalchemy import func, select

from portal.extensions import db
from portal.models import Order
from portal.settings import Settings
from tests.conftest import Person, person
from tests.support import browsing
from tests.support.world import World


@pytest.fixture
def key(here: World, alice: Person) -> str:
    """Alice's key, on the free plan."""
    alice.browser.choose("free-monthly")
    return alice.browser.reveal()


def call(
    here: World, key: str, path: str, body: Any = None, method: str = "POST", **kwargs: Any
) -> requests.Response:
    headers = {"Authorization": f"Bearer {key}"}
    return requests.request(method, here.base + path, json=body, headers=headers, timeout=30, **kwargs)


def price_id(here: World, lookup_key: str = "pro_monthly", mode: str = "live") -> str:
    return here.stripe(mode).v1.prices.list({"lookup_keys": [lookup_key]}).data[0].id


def problem(answer: requests.Response, status: int, field: str | None = None) -> dict[str, Any]:
    """The answer as problem+json of this status, about this field."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    told = answer.json()
    assert {"status", "title", "detail", "code", "request_id"} <= told.keys()
    assert told["status"] == status
    if field:
        assert field in told["errors"], told
    return told


@pytest.mark.parametrize("catalogue_key", [False, True])
def test_a_console_sells_a_plan(here: World, alice: Person, key: str, catalogue_key: bool) -> None:
    word = "pro-monthly" if catalogue_key else price_id(here)
    answer = call(here, key, "/api/auth/stripe/checkout", {"price_id": word})
    assert answer.status_code == 200, answer.text
    alice.browser.open(answer.json()["url"])
    alice.browser.pay()
    assert alice.browser.page.url.startswith(f"{here.base}/billing/success")
    here.flush()
    (mine,) = call(here, key, "/api/auth/subscriptions", method="GET").json()
    assert (mine["provider"], mine["status"], mine["tier"]) == ("stripe", "active", "pro")
    assert (mine["amount"], mine["currency"]) == (4999, "usd")
    assert call(here, key, "/api/v1/entitlements", method="GET").json()["tier"] == "pro"


def test_it_returns_to_the_separate_front_end(here: World, alice: Person, key: str, monkeypatch: Any) -> None:
    settings: Settings = here.app.extensions["settings"]
    front = settings.model_copy(update={"frontend_url": "https://app.example.com"})
    monkeypatch.setitem(here.app.extensions, "settings", front)
    begun = call(here, key, "/api/auth/stripe/checkout", {"price_id": "pro-monthly"}).json()["url"]
    alice.browser.choose("pro-monthly")
    assert alice.browser.page.url != begun, "each comes back to where it was begun"
    alice.browser.open(call(here, key, "/api/auth/stripe/checkout", {"price_id": "pro-monthly"}).json()["url"])
    answer = alice.browser.pay(follow=False)
    assert answer.headers["Location"].startswith("https://app.example.com/billing/success?session_id=cs_")


def test_entitlements_are_the_receipt_s_facts(here: World, key: str) -> None:
    facts = call(here, key, "/api/v1/entitlements", method="GET").json()
    receipt = call(here, key, "/v1/receipt", method="GET").json()
    assert facts == {name: value for name, value in receipt.items() if name != "key"}
    assert (facts["status"], facts["tier"], facts["credits"]) == ("free", "free", 0)


def test_a_cancellation_is_seen_by_the_very_next_request(here: World, bob: Person) -> None:
    bob.browser.open("/keys")
    bob.browser.press("Create key", name="server")
    key = browsing.key_in(bob.browser.page.text)
    assert call(here, key, "/api/v1/entitlements", method="GET").json()["tier"] == "pro"
    subscription = call(here, key, "/api/auth/subscriptions", method="GET").json()[0]["id"]
    here.stripe().v1.subscriptions.cancel(subscription)
    here.flush()
    assert call(here, key, "/api/v1/entitlements", method="GET").json()["tier"] == "free"


def test_the_portal_s_address(here: World, alice: Person, key: str) -> None:
    answer = call(here, key, "/api/auth/stripe/portal")
    assert answer.status_code == 200, answer.text
    assert alice.browser.open(answer.json()["url"]).ok


def test_whoever_is_subscribed_is_told_where_to_change(here: World, bob: Person) -> None:
    bob.browser.open("/keys")
    bob.browser.press("Create key", name="server")
    key = browsing.key_in(bob.browser.page.text)
    told = problem(call(here, key, "/api/auth/stripe/checkout", {"price_id": "starter-monthly"}), 409)
    assert told["change_url"] == f"{here.base}/billing/change"


BAD_BODIES = [
    {},
    {"price_id": ""},
    {"price_id": 7},
    {"price_id": None},
    {"price_id": ["pro-monthly"]},
    {"price_id": "x" * 300},
    {"price_id": "price_unknown"},
    {"price_id": "beta-monthly"},
    {"price_id": "free-monthly"},
]


@pytest.mark.parametrize("body", BAD_BODIES, ids=str)
def test_a_bad_price_is_refused_by_field(here: World, key: str, body: dict[str, Any]) -> None:
    problem(call(here, key, "/api/auth/stripe/checkout", body), 400, "price_id")
    with here.app.app_context():
        assert db.session.execute(select(func.count()).select_from(Order)).scalar_one() == 1  # the free plan's


def test_a_price_of_the_other_mode_is_refused(here: World, key: str) -> None:
    problem(
        call(here, key, "/api/auth/stripe/checkout", {"price_id": price_id(here, mode="test")}), 400, "price_id"
    )


def test_unknown_fields_are_refused_by_name(here: World, key: str) -> None:
    body = {"price_id": "pro-monthly", "quantity": 3}
    problem(call(here, key, "/api/auth/stripe/checkout", body), 400, "quantity")


def test_what_is_not_json_or_not_the_method_is_refused(here: World, key: str) -> None:
    url, headers = f"{here.base}/api/auth/stripe/checkout", {"Authorization": f"Bearer {key}"}
    problem(requests.post(url, data={"price_id": "pro-monthly"}, headers=headers, timeout=30), 415)
    broken = requests.post(url, data="{", headers=headers | {"Content-Type": "application/json"}, timeout=30)
    problem(broken, 400, "body")
    problem(call(here, key, "/api/auth/stripe/checkout", [], "POST"), 400, "body")
    problem(call(here, key, "/api/auth/stripe/checkout", method="GET"), 405)


PATHS = [
    ("GET", "/v1/receipt"),
    ("GET", "/api/v1/entitlements"),
    ("POST", "/api/auth/stripe/checkout"),
    ("POST", "/api/auth/stripe/portal"),
    ("GET", "/api/auth/subscriptions"),
]


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_a_key_revoked_a_moment_ago_is_worthless(
    here: World, alice: Person, key: str, method: str, path: str
) -> None:
    call(here, key, "/v1/receipt", method="GET")
    alice.browser.open("/keys")
    alice.browser.open(alice.browser.link("Revoke"))
    alice.browser.press("Revoke")
    problem(call(here, key, path, method=method), 401)


def test_the_allow_list_decides_what_is_sold(here: World, alice: Person, key: str, monkeypatch: Any) -> None:
    settings: Settings = here.app.extensions["settings"]
    allowed = price_id(here, "starter_monthly")
    stripe = here.stripe()
    outside = stripe.v1.prices.create(
        {
            "currency": "usd",
            "unit_amount": 700,
            "recurring": {"interval": "month", "interval_count": 3},
            "product_data": {"name": "Special"},
            "metadata": {"tier": "enterprise"},
        }
    ).id
    narrowed = settings.model_copy(update={"stripe_allowed_price_ids": frozenset({allowed, outside})})
    monkeypatch.setitem(here.app.extensions, "settings", narrowed)
    problem(call(here, key, "/api/auth/stripe/checkout", {"price_id": price_id(here)}), 400, "price_id")
    alice.browser.open("/pricing")
    assert "Choose Starter" in alice.browser.text
    assert "Choose Pro" not in alice.browser.text
    alice.browser.open(call(here, key, "/api/auth/stripe/checkout", {"price_id": outside}).json()["url"])
    alice.browser.pay()
    assert "$7.00 every 3 months" in alice.browser.text
    assert call(here, key, "/v1/receipt", method="GET").json()["tier"] == "enterprise"
    assert "USD every 3 months" in alice.browser.open("/billing").text


def test_an_allowed_price_without_a_tier_is_sold(here: World, key: str, monkeypatch: Any) -> None:
    settings: Settings = here.app.extensions["settings"]
    bare = (
        here.stripe()
        .v1.prices.create(
            {
                "currency": "usd",
                "unit_amount": 700,
                "recurring": {"interval": "month"},
                "product_data": {"name": "Bare"},
            }
        )
        .id
    )
    allowing = settings.model_copy(update={"stripe_allowed_price_ids": frozenset({bare})})
    monkeypatch.setitem(here.app.extensions, "settings", allowing)
    answer = call(here, key, "/api/auth/stripe/checkout", {"price_id": bare})
    assert "/c/pay/" in answer.json()["url"]


def test_another_customer_s_subscriptions_are_not_listed(here: World, bob: Person, key: str) -> None:
    assert call(here, key, "/api/auth/subscriptions", method="GET").json() == []


def test_an_older_browser_without_a_key_gets_401(here: World) -> None:
    stranger = person(here, "dora")
    answer = stranger.browser.http.get(f"{here.base}/v1/receipt")
    problem(answer, 401)


def test_an_allowed_price_that_is_paid_once_gives_its_tier_for_good(
    here: World, alice: Person, key: str, monkeypatch: Any
) -> None:
    settings: Settings = here.app.extensions["settings"]
    once = (
        here.stripe()
        .v1.prices.create(
            {
                "currency": "usd",
                "unit_amount": 9900,
                "product_data": {"name": "Lifetime"},
                "metadata": {"tier": "starter"},
            }
        )
        .id
    )
    allowing = settings.model_copy(update={"stripe_allowed_price_ids": frozenset({once})})
    monkeypatch.setitem(here.app.extensions, "settings", allowing)
    alice.browser.open(call(here, key, "/api/auth/stripe/checkout", {"price_id": once}).json()["url"])
    alice.browser.pay()
    assert "is yours" in alice.browser.text
    here.flush()
    facts = call(here, key, "/v1/receipt", method="GET").json()
    assert (facts["tier"], facts["status"]) == ("starter", "active")
