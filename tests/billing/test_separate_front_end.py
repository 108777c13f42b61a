"""What a separate front end reads, and the pricing page of prices that the catalogue does not have."""

from collections.abc import Callable
from typing import Any

import pytest
import requests
from sqlalchemy import select, update

from portal.extensions import db
from portal.models import CreditPackage, Plan, Price
from tests.billing.test_api import call
from tests.billing.test_prices_outside import made_price, metered
from tests.billing.test_subscription_api import by_key
from tests.conftest import Person
from tests.support import browsing
from tests.support.looking import one, tier
from tests.support.world import World

Allow = Callable[..., list[str]]


@pytest.fixture
def allow(here: World, monkeypatch: pytest.MonkeyPatch) -> Allow:
    """Set STRIPE_ALLOWED_PRICE_IDS to these prices; gives them."""
    monkeypatch.setitem(here.app.extensions, "stripe_prices", {})

    def give(*prices: str) -> list[str]:
        changed = {"stripe_allowed_price_ids": frozenset(prices)}
        settings = here.app.extensions["settings"].model_copy(update=changed)
        monkeypatch.setitem(here.app.extensions, "settings", settings)
        return list(prices)

    return give


def get(here: World, path: str, **headers: str) -> requests.Response:
    return requests.get(here.base + path, headers=headers, timeout=30)


def product(here: World, name: str) -> str:
    made = here.stripe().v1.products.create({"name": name, "description": f"For {name.lower()}s."})
    return str(made.id)


@pytest.mark.parametrize("path", ["/api/v1/plans", "/api/credits/packages"])
def test_everybody_may_read_and_keep_it(here: World, path: str) -> None:
    answer = get(here, path)
    assert answer.status_code == 200
    assert {"public", "max-age=60"} == set(answer.headers["Cache-Control"].split(", "))
    assert "Set-Cookie" not in answer.headers
    assert get(here, path, **{"If-None-Match": answer.headers["ETag"]}).status_code == 304


def test_the_plans_are_those_of_the_pricing_page(here: World) -> None:
    answer = get(here, "/api/v1/plans").json()
    assert [plan["plan_name"] for plan in answer["plans"]] == ["free", "starter", "pro", "enterprise"]
    pro = answer["plans"][2]
    assert (pro["name"], pro["tier"], pro["recommended"]) == ("Pro", "pro", True)
    assert pro["entitlements"]["streaming"] is True
    assert len(pro["features"]) == 7
    assert [(one["price_id"], one["billing_cycle"], one["amount"], one["currency"]) for one in pro["prices"]] == [
        ("pro-monthly", "monthly", 4999, "usd"),
        ("pro-yearly", "yearly", 47999, "usd"),
    ]
    assert answer["other_prices"] == []


def test_a_price_that_is_not_on_sale_is_not_listed(here: World) -> None:
    with here.app.app_context():
        db.session.execute(update(Price).filter_by(key="pro-yearly").values(withdrawn=True))
        db.session.execute(update(Plan).filter_by(key="starter").values(hidden=True))
        db.session.commit()
    answer = get(here, "/api/v1/plans").json()
    found = [price["price_id"] for plan in answer["plans"] for price in plan["prices"]]
    assert found == ["free-monthly", "pro-monthly", "enterprise-monthly"]


def test_each_id_can_be_bought(here: World, alice: Person, allow: Allow) -> None:
    """Plans by both calls, and a price that the catalogue does not have."""
    secret = by_key(here, alice)
    other, starter = allow(
        made_price(here), one(here, select(Price.live_price_id).filter_by(key="starter-monthly"))
    )
    listed = get(here, "/api/v1/plans").json()
    (plan,) = listed["plans"]
    (price,) = plan["prices"]
    body = {"plan_name": plan["plan_name"], "billing_cycle": price["billing_cycle"]}
    assert call(here, secret, "/api/v1/billing/checkout", body).status_code == 200
    for price_id in (price["price_id"], starter):
        assert call(here, secret, "/api/auth/stripe/checkout", {"price_id": price_id}).status_code == 200
    assert [one["price_id"] for one in listed["other_prices"]] == [other]
    assert call(here, secret, "/api/auth/stripe/checkout", {"price_id": other}).status_code == 200


def test_the_packages_are_those_of_the_credits_page(here: World, alice: Person) -> None:
    answer = get(here, "/api/credits/packages").json()
    assert answer["success"] is True
    basic = {
        "id": 2,
        "key": "basic",
        "name": "Basic",
        "credits": 5500,
        "amount": 4500,
        "currency": "usd",
        "price_per_credit": "$0.008",
        "best_value": False,
    }
    assert answer["packages"][1] == basic
    assert [package["id"] for package in answer["packages"]] == [1, 2, 3, 4, 5]
    assert answer["custom"] == {
        "credits_per_unit": 100,
        "minimum": 100,
        "maximum": 100_000,
        "currency": "usd",
    }
    secret = by_key(here, alice)
    for package_id in (basic["id"], basic["key"]):
        assert call(here, secret, "/api/credits/purchase", {"package_id": package_id}).status_code == 200


def test_a_custom_amount_that_is_not_at_stripe_is_not_listed(here: World) -> None:
    with here.app.app_context():
        db.session.execute(update(CreditPackage).filter_by(key="custom").values(live_price_id=None))
        db.session.commit()
    assert get(here, "/api/credits/packages").json()["custom"] is None


SHAPES: dict[str, tuple[dict[str, Any], str]] = {
    "monthly": ({"unit_amount": 900}, "$9 USD a month"),
    "every 3 months": (
        {"unit_amount": 2500, "recurring": {"interval": "month", "interval_count": 3}},
        "$25 USD every 3 months",
    ),
    "once": ({"unit_amount": 9900, "recurring": None}, "$99 USD"),
    "in tiers": (
        {
            "unit_amount": None,
            "billing_scheme": "tiered",
            "tiers_mode": "graduated",
            "tiers": [{"up_to": 5, "unit_amount": 700}, {"up_to": "inf", "unit_amount": 500}],
        },
        "$7 USD a month",
    ),
}


@pytest.mark.parametrize(("shape", "words"), SHAPES.values(), ids=SHAPES)
def test_an_allowed_price_is_shown_and_bought_as_stripe_describes_it(
    here: World, alice: Person, allow: Allow, shape: dict[str, Any], words: str
) -> None:
    given = {"metadata": {"tier": "enterprise"}} | shape
    (price,) = allow(priced(here, product(here, "Team"), given))
    alice.browser.open("/pricing")
    assert f"Team {words} For teams. Choose Team" in alice.browser.text
    assert "Pro" not in alice.browser.text
    (listed,) = get(here, "/api/v1/plans").json()["other_prices"]
    assert (listed["price_id"], listed["name"], listed["description"]) == (price, "Team", "For teams.")
    alice.browser.choose(price)
    alice.browser.pay()
    here.flush()
    assert tier(here) == "enterprise"


def priced(here: World, product_id: str, given: dict[str, Any]) -> str:
    params = {"product": product_id, "currency": "usd", "recurring": {"interval": "month"}} | given
    wanted: Any = {name: value for name, value in params.items() if value is not None}
    return str(here.stripe().v1.prices.create(wanted).id)


def test_usage_is_shown_by_the_unit(here: World, visitor: browsing.Browser, allow: Allow) -> None:
    allow(made_price(here, product(here, "Request"), **metered(here)))
    visitor.open("/pricing")
    assert "Request $0.02 per unit USD a month" in visitor.text


def test_a_plan_is_changed_to_an_allowed_price_and_marked(here: World, bob: Person, allow: Allow) -> None:
    other = made_price(here, product(here, "Team"), metadata={"tier": "enterprise"})
    pro = one(here, select(Price.live_price_id).filter_by(key="pro-monthly"))
    allow(other, pro)
    bob.browser.open("/pricing")
    assert bob.browser.link("Choose Team") == f"/billing/change?price={other}"
    bob.browser.open(bob.browser.link("Choose Team"))
    bob.browser.press("Confirm change")
    here.flush()
    bob.browser.open("/pricing")
    assert "Team $39 USD a month For teams. Your plan" in bob.browser.text


def test_an_archived_price_is_not_shown(here: World, visitor: browsing.Browser, allow: Allow) -> None:
    allow(made_price(here, product(here, "Team"), active=False))
    visitor.open("/pricing")
    assert "Team" not in visitor.text
    assert "Nothing is on sale right now." in visitor.text


def test_while_stripe_is_silent_the_page_says_so_and_keeps_what_it_knew(
    here: World, visitor: browsing.Browser, allow: Allow, monkeypatch: pytest.MonkeyPatch
) -> None:
    allow(made_price(here, product(here, "Team")))
    here.fail(next=100, status=500, path="/v1/prices")
    visitor.open("/pricing")
    assert "Some prices are not available right now." in visitor.text
    here.calm()
    visitor.open("/pricing")
    assert "Team" not in visitor.text  # not asked again at once
    kept = here.app.extensions["stripe_prices"]["live"]
    kept.paused_until = 0
    visitor.open("/pricing")
    assert "Team $39 USD a month" in visitor.text
    kept.until.clear()
    here.fail(next=100, status=500, path="/v1/prices")
    visitor.open("/pricing")
    assert "Team $39 USD a month" in visitor.text
    assert "not available right now" not in visitor.text


def test_a_price_that_stripe_does_not_know_is_left_out(
    here: World, visitor: browsing.Browser, allow: Allow
) -> None:
    allow("price_never", made_price(here, product(here, "Team")))
    visitor.open("/pricing")
    assert "Team $39 USD a month" in visitor.text
    assert "not available" not in visitor.text
