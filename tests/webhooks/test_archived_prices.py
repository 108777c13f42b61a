"""Prices that are archived at Stripe are not offered, and are again once they are active."""

from collections.abc import Iterator

import pytest
from sqlalchemy import select

from portal.catalogue import archived_prices, items, packages
from portal.errors import InvalidInput
from portal.extensions import db
from portal.models import CreditPackage, Meter, Plan, Price
from portal.orders import payment_links
from portal.usage import agreements
from tests.conftest import Person
from tests.support.world import World, eventually


def price_of(here: World, key: str) -> tuple[str, str]:
    """The ids of a live price and its product."""
    with here.app.app_context():
        row = db.session.execute(select(Price).filter_by(key=key)).scalar_one()
        found = row.live_price_id, row.plan.live_product_id
    assert found[0]
    assert found[1]
    return found[0], found[1]


def is_offered(here: World, key: str) -> bool:
    here.flush()
    with here.app.app_context():
        try:
            items.find(key, "live")
        except (InvalidInput, items.Archived):
            return False
    return True


def becomes(here: World, key: str, *, offered: bool) -> None:
    eventually(lambda: is_offered(here, key) is offered)


@pytest.fixture
def pro(here: World) -> Iterator[tuple[str, str]]:
    """The monthly price of Pro and its product, both active again afterwards."""
    price, product = price_of(here, "pro-monthly")
    yield price, product
    here.stripe().v1.prices.update(price, {"active": True})
    here.stripe().v1.products.update(product, {"active": True})
    becomes(here, "pro-monthly", offered=True)


def test_an_archived_price_is_not_offered_until_it_is_active(
    here: World, alice: Person, pro: tuple[str, str]
) -> None:
    price, _ = pro
    here.stripe().v1.prices.update(price, {"active": False})
    becomes(here, "pro-monthly", offered=False)
    assert is_offered(here, "pro-yearly")
    assert not is_offered(here, price)
    assert "pro-monthly" not in alice.browser.open("/pricing").text
    with here.app.app_context(), pytest.raises(InvalidInput, match="archived"):
        payment_links.create("pro", "live")
    here.stripe().v1.prices.update(price, {"active": True})
    becomes(here, "pro-monthly", offered=True)
    assert "pro-monthly" in alice.browser.open("/pricing").text


def test_an_archived_product_takes_all_its_prices_along(here: World, pro: tuple[str, str]) -> None:
    _, product = pro
    here.stripe().v1.products.update(product, {"active": False})
    becomes(here, "pro-monthly", offered=False)
    becomes(here, "pro-yearly", offered=False)
    here.stripe().v1.products.update(product, {"active": True})
    becomes(here, "pro-monthly", offered=True)
    becomes(here, "pro-yearly", offered=True)


def test_an_archived_package_is_not_offered(here: World) -> None:
    with here.app.app_context():
        package = packages.offers()[0].key
        price = db.session.execute(select(CreditPackage.live_price_id).filter_by(key=package)).scalar_one()

    def offered() -> bool:
        here.flush()
        with here.app.app_context():
            return package in [one.key for one in packages.offers()]

    assert price
    here.stripe().v1.prices.update(price, {"active": False})
    try:
        eventually(lambda: not offered())
        with here.app.app_context(), pytest.raises(items.Archived):
            packages.find(package, "live")
    finally:
        here.stripe().v1.prices.update(price, {"active": True})
        eventually(offered)


def test_another_price_in_the_place_of_an_archived_one_is_offered() -> None:
    row = Price(live_price_id="price_new", live_archived_id="price_old", plan=Plan())
    assert not row.is_archived("live")
    row.live_archived_id = "price_new"
    assert row.is_archived("live")
    assert not row.is_archived("test")


@pytest.fixture
def api_calls(here: World) -> Iterator[str]:
    """The price of a meter, active again afterwards."""
    with here.app.app_context():
        price = db.session.execute(select(Meter.live_price_id).filter_by(key="api_calls")).scalar_one()
    assert price
    yield price
    here.stripe().v1.prices.update(price, {"active": True})
    here.flush()
    becomes_startable(here, True)


def becomes_startable(here: World, startable: bool) -> None:
    def is_so() -> bool:
        here.flush()
        with here.app.app_context():
            return agreements.is_on_sale("live") is startable

    eventually(is_so)


def test_pay_as_you_go_does_not_start_with_an_archived_price(here: World, api_calls: str, alice: Person) -> None:
    alice.browser.open("/usage")
    form = alice.browser.form("Start pay as you go")
    here.stripe().v1.prices.update(api_calls, {"active": False})
    becomes_startable(here, False)
    late = alice.browser.http.post(form.action, data=form.fields, timeout=30)
    assert late.status_code == 409
    assert "Pay as you go is not available to new customers right now." in late.text
    alice.browser.open("/usage")
    assert "Start pay as you go" not in alice.browser.text
    assert "You can buy credits instead." in alice.browser.text


def run(here: World, *words: str) -> tuple[int, str]:
    """Run a command, and return its exit status and its output, single-spaced."""
    with here.app.app_context():
        ran = here.app.test_cli_runner().invoke(args=words)
    return ran.exit_code, " ".join(ran.output.split())


def test_reconcile_names_what_is_archived_and_a_push_notes_it(
    here: World, pro: tuple[str, str], api_calls: str
) -> None:
    """Also what was archived before anybody heard of it."""
    here.stripe().v1.products.update(pro[1], {"active": False})
    here.stripe().v1.prices.update(api_calls, {"active": False})
    here.control("deliveries/discard")
    status, told = run(here, "reconcile", "--mode", "live")
    assert status == 1
    assert f"price pro-monthly {pro[0]} active at Stripe archived there, offered here" in told
    assert f"price api_calls {api_calls} active at Stripe archived there, offered here" in told
    assert "price: Run `flask catalogue push`" in told
    with here.app.app_context():
        archived_prices.apply(archived_prices.read_all("live"))
        db.session.commit()
    status, told = run(here, "reconcile", "--mode", "live")
    assert status == 1
    assert f"price pro-monthly {pro[0]} active at Stripe archived there, not offered here" in told
    assert ", offered here" not in told
    assert not is_offered(here, "pro-monthly")
