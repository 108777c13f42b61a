"""Prices that the catalogue does not know: made by sales, swapped to in the Dashboard, archived, or without a
plan.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import select, update

from portal.billing import subscriptions
from portal.catalogue import archived_prices
from portal.extensions import db
from portal.models import Order, OutboxMail, Plan, Price, Subscription
from tests.billing.test_api import call, problem
from tests.billing.test_plan_change import at_stripe, price_id
from tests.billing.test_subscription_api import by_key
from tests.conftest import Person
from tests.support.looking import one, tier
from tests.support.world import World


def product_of(here: World, key: str) -> str:
    found: str = one(here, select(Plan.live_product_id).filter_by(key=key))
    return found


def give_by_product(here: World, key: str) -> None:
    with here.app.app_context():
        db.session.execute(update(Plan).filter_by(key=key).values(also="product"))
        db.session.commit()


def made_price(here: World, product: str | None = None, **more: Any) -> str:
    """A price of a plan's product, or of another one, made in the Dashboard."""
    stripe = here.stripe().v1
    product = product or stripe.products.create({"name": "Something else"}).id
    given = {
        "product": product,
        "currency": "usd",
        "unit_amount": 3900,
        "recurring": {"interval": "month"},
    }
    return str(stripe.prices.create(given | more).id)


def metered(here: World) -> dict[str, Any]:
    given: Any = {
        "display_name": "Requests",
        "event_name": "requests_elsewhere",
        "default_aggregation": {"formula": "sum"},
    }
    meters = here.stripe().v1.billing.meters
    known = [meter for meter in meters.list().data if meter.event_name == given["event_name"]]
    meter = known[0] if known else meters.create(given)
    return {"recurring": {"interval": "month", "usage_type": "metered", "meter": meter.id}, "unit_amount": 2}


def swap(here: World, price: str) -> None:
    """Change the plan to this price, as the Dashboard does."""
    mine = at_stripe(here)
    item = mine["items"].data[0].id
    wanted: Any = [{"id": item, "deleted": True}, {"price": price}]
    here.stripe().v1.subscriptions.update(mine.id, {"items": wanted, "proration_behavior": "none"})
    here.flush()


def told(here: World) -> list[tuple[str, str]]:
    """The address and price of the mails about unknown prices."""
    with here.app.app_context():
        query = select(OutboxMail).filter_by(template="price_unknown").order_by(OutboxMail.id)
        return [(row.user.email, row.context["price"]) for row in db.session.execute(query).scalars() if row.user]


SWAPS: dict[str, Callable[[World], str]] = {
    "another product": lambda here: made_price(here),
    "the plan's product, without also": lambda here: made_price(here, product_of(here, "pro")),
    "usage of another product": lambda here: made_price(here, **metered(here)),
}


@pytest.mark.parametrize("swapped", SWAPS.values(), ids=SWAPS)
def test_a_plan_swapped_to_something_unknown_is_kept_and_the_admins_are_told(
    here: World, bob: Person, ada: Person, swapped: Callable[[World], str]
) -> None:
    ada.browser.open("/admin")
    assert "Plans with an unknown price" not in ada.browser.text
    price = swapped(here)
    swap(here, price)
    assert tier(here) == "pro"
    assert told(here) == [("ada@example.com", price)]
    ada.browser.open("/admin")
    assert "Plans with an unknown price" in ada.browser.text
    assert f"Customer bob@example.com Keeps Pro Price {price}" in ada.browser.text
    with here.app.app_context():
        subscriptions.sync("live", one(here, select(Subscription.stripe_id)))
    assert len(told(here)) == 1


def test_each_swap_is_told_and_a_known_price_ends_it(here: World, bob: Person, ada: Person) -> None:
    first, second = made_price(here), made_price(here)
    for price in (first, second):
        swap(here, price)
    assert [price for _email, price in told(here)] == [first, second]
    swap(here, price_id(here, "starter-monthly"))
    assert tier(here) == "starter"
    ada.browser.open("/admin")
    assert "Plans with an unknown price" not in ada.browser.text


def test_mapping_the_price_ends_it(here: World, bob: Person, ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    price = made_price(here)
    swap(here, price)
    settings = here.app.extensions["settings"].model_copy(update={"stripe_price_map": {price: "enterprise"}})
    monkeypatch.setitem(here.app.extensions, "settings", settings)
    with here.app.app_context():
        subscriptions.sync("live", one(here, select(Subscription.stripe_id)))
    assert tier(here) == "enterprise"
    ada.browser.open("/admin")
    assert "Plans with an unknown price" not in ada.browser.text


def test_a_plan_that_has_ended_is_nothing_to_decide_about(here: World, bob: Person, ada: Person) -> None:
    swap(here, made_price(here))
    here.stripe().v1.subscriptions.cancel(at_stripe(here).id)
    here.flush()
    assert tier(here) == "free"
    ada.browser.open("/admin")
    assert "Plans with an unknown price" not in ada.browser.text


def test_a_price_of_sales_gives_the_plan_of_its_product_once(here: World, bob: Person, ada: Person) -> None:
    """Bob's Pro costs $39 by a price that the catalogue does not know; he cannot buy Pro a second time."""
    give_by_product(here, "pro")
    swap(here, made_price(here, product_of(here, "pro")))
    assert (tier(here), told(here)) == ("pro", [])
    assert one(here, select(Subscription.tier_kept)) is False
    bob.browser.open("/pricing")
    assert "Your plan" in bob.browser.text
    secret = by_key(here, bob)
    again = call(here, secret, "/api/v1/billing/checkout", {"plan_name": "pro"})
    assert problem(again, 409)["code"] == "already_subscribed"


@pytest.fixture(params=["told by the webhook", "its webhook was lost"])
def archive(request: pytest.FixtureRequest, here: World) -> Iterator[Callable[[str], None]]:
    """Archive a live price at Stripe. Those are active again afterwards."""
    done: list[str] = []

    def do(price: str) -> None:
        here.stripe().v1.prices.update(price, {"active": False})
        done.append(price)
        if request.param == "told by the webhook":
            here.flush()
        else:
            here.control("deliveries/discard")

    yield do
    for price in done:
        here.stripe().v1.prices.update(price, {"active": True})
        here.flush()
        with here.app.app_context():
            archived_prices.sync("live", price)


CALLS: dict[str, tuple[str, dict[str, Any], str]] = {
    "plan": ("/api/v1/billing/checkout", {"plan_name": "pro"}, "starter-monthly"),
    "console": ("/api/auth/stripe/checkout", {"price_id": "pro-monthly"}, "pro-yearly"),
    "credits": ("/api/credits/purchase", {"package_id": "basic"}, "starter"),
}


@pytest.mark.parametrize(("path", "body", "other"), CALLS.values(), ids=CALLS)
def test_buying_an_archived_price_says_so_with_the_others(
    here: World, alice: Person, archive: Callable[[str], None], path: str, body: dict[str, Any], other: str
) -> None:
    secret = by_key(here, alice)
    bought = "basic" if path.startswith("/api/credits") else "pro-monthly"
    archive(sold(here, bought))
    refused = problem(call(here, secret, path, body), 409)
    assert refused["code"] == "price_archived"
    assert other in refused["on_offer"]
    assert bought not in refused["on_offer"]
    assert "no longer sold. On offer now: " in refused["detail"]
    with here.app.app_context():
        assert db.session.execute(select(Order.state)).scalars().all() in ([], ["failed"])
    assert problem(call(here, secret, path, body), 409)["code"] == "price_archived"


def sold(here: World, key: str) -> str:
    from portal.models import CreditPackage

    model = Price if "-" in key else CreditPackage
    found: str = one(here, select(model.live_price_id).filter_by(key=key))
    return found


def test_the_page_names_the_others(here: World, alice: Person, archive: Callable[[str], None]) -> None:
    alice.browser.open("/pricing")
    form = next(form for form in alice.browser.forms() if form.fields.get("price") == "pro-monthly")
    archive(price_id(here, "pro-monthly"))
    refused = alice.browser.http.post(form.action, data=form.fields, timeout=30)
    assert refused.status_code == 409
    assert "This price of Pro is no longer sold." in refused.text
    assert "Starter ($19.99 a month)" in refused.text
    assert "Pro ($49.99 a month)" not in refused.text
    assert "You were not charged" in refused.text


def test_changing_to_an_archived_price_says_so(here: World, bob: Person, archive: Callable[[str], None]) -> None:
    archive(price_id(here, "enterprise-monthly"))
    bob.browser.open("/billing/change?price=enterprise-monthly")
    assert bob.browser.page.status_code == 409
    assert "This price of Enterprise is no longer sold." in bob.browser.text
    bob.browser.open("/billing/change")
    assert bob.browser.page.status_code == 200
    assert "Enterprise" not in bob.browser.text


@pytest.fixture
def allowed(here: World, monkeypatch: pytest.MonkeyPatch) -> str:
    """A price without a tier that stands in STRIPE_ALLOWED_PRICE_IDS."""
    price = made_price(here)
    settings = here.app.extensions["settings"].model_copy(update={"stripe_allowed_price_ids": frozenset({price})})
    monkeypatch.setitem(here.app.extensions, "settings", settings)
    return price


def test_an_allowed_price_without_a_tier_is_sold_recorded_and_listed(
    here: World, alice: Person, charlie: Person, allowed: str, caplog: pytest.LogCaptureFixture, capfd: Any
) -> None:
    secrets = {}
    for person in (alice, charlie):
        secret = secrets[person.email] = by_key(here, person)
        begun = call(here, secret, "/api/auth/stripe/checkout", {"price_id": allowed})
        person.browser.open(begun.json()["url"])
        person.browser.pay()
        here.flush()
    (listed,) = call(here, secrets[alice.email], "/api/auth/subscriptions", method="GET").json()
    assert (listed["price_id"], listed["tier"], listed["status"]) == (allowed, None, "active")
    assert (listed["plan_name"], listed["amount"]) == ("Something else", 3900)
    assert call(here, secrets[alice.email], "/v1/receipt", method="GET").json()["tier"] == "free"
    alice.browser.open("/billing")
    assert "Something else" in alice.browser.text
    assert "Pay as you go" not in alice.browser.text
    again = call(here, secrets[alice.email], "/api/auth/stripe/checkout", {"price_id": allowed})
    assert problem(again, 409)["code"] == "already_subscribed"
    said = caplog.text + "".join(capfd.readouterr())
    assert said.count("price_without_tier") == 1
    assert f"{allowed}:TIER to STRIPE_PRICE_MAP" in said
