"""Paying from a bank account: the order waits for the bank's result."""

from collections.abc import Callable

import pytest
from sqlalchemy import select

from portal.models import ApiKey, Order
from tests.conftest import Person
from tests.support.browsing import Browser
from tests.support.looking import count, one, tier
from tests.support.world import World

GOOD_IBAN, BAD_IBAN = "AT611904300234573201", "AT861904300235473202"


@pytest.fixture
def by_debit(here: World, alice: Person, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Browser]:
    """Alice pays for Pro in euros from a bank account; the bank's response comes later."""
    here.hold_settlements()
    stripe = here.stripe().v1
    product = stripe.products.create({"name": "Pro in euro"})
    recurring = {"interval": "month"}
    price = stripe.prices.create(
        {"product": product.id, "currency": "eur", "unit_amount": 4900, "recurring": recurring}
    )
    given = here.app.extensions["settings"]
    sold = given.model_copy(update={"stripe_price_map": {price.id: "pro"}})
    monkeypatch.setitem(here.app.extensions, "settings", sold)

    def pay(iban: str) -> Browser:
        alice.browser.open("/pricing")
        token = alice.browser.forms()[0].fields["csrf_token"]
        data = {"price": price.id, "csrf_token": token}
        alice.browser.page = alice.browser.http.post(f"{here.base}/billing/checkout", data=data, timeout=30)
        alice.browser.pay(method="sepa_debit", iban=iban)
        return alice.browser

    return pay


def test_a_debit_gives_the_plan_only_once_the_bank_has_paid(
    here: World, by_debit: Callable[[str], Browser]
) -> None:
    browser = by_debit(GOOD_IBAN)
    assert "being confirmed" in browser.text
    assert one(here, select(Order.paid_at)) is None
    assert tier(here) == "free"
    here.settle()
    browser.open(browser.page.url)
    assert "is yours" in browser.text
    here.flush()
    assert tier(here) == "pro"
    assert browser.receipt(browser.reveal()).json()["tier"] == "pro"


def test_a_debit_that_the_bank_refuses_gives_nothing(here: World, by_debit: Callable[[str], Browser]) -> None:
    browser = by_debit(BAD_IBAN)
    here.settle()
    browser.open(browser.page.url)
    assert "did not go through" in browser.text
    here.flush()
    assert "You were not charged" in browser.text
    assert one(here, select(Order.state)) == "failed"
    assert tier(here) == "free"
    assert count(here, ApiKey) == 0


def test_while_a_debit_is_under_way_nothing_else_is_sold(here: World, by_debit: Callable[[str], Browser]) -> None:
    browser = by_debit(GOOD_IBAN)
    answer = browser.choose("pro-monthly", follow=False)
    assert answer.status_code == 409
    assert "not charged a second time" in answer.text
