"""Payment Links from the Dashboard: several lines, trials, quantities and promotion codes."""

from typing import Any

import pytest
from sqlalchemy import select

from portal.customers import access
from portal.extensions import db
from portal.models import Invoice, Order, Subscription
from tests.support import browsing
from tests.support.world import World

SUCCESS = "/billing/success?session_id={CHECKOUT_SESSION_ID}"
PRO, FEE = 4999, 2900


def link(here: World, *lines: dict[str, Any], **terms: Any) -> str:
    """Create a link that returns to the success page."""
    redirect = {"type": "redirect", "redirect": {"url": here.base + SUCCESS}}
    given = {"line_items": list(lines), "after_completion": redirect, **terms}
    return str(here.stripe().v1.payment_links.create(given).url)


def fee(here: World) -> dict[str, Any]:
    api = here.stripe().v1
    product = api.products.create({"name": "Set-up"}).id
    price = api.prices.create({"product": product, "currency": "usd", "unit_amount": FEE}).id
    return {"price": price, "quantity": 1}


def plan(here: World, quantity: int = 1) -> dict[str, Any]:
    price = here.stripe().v1.prices.list({"lookup_keys": ["pro_monthly"]}).data[0].id
    return {"price": price, "quantity": quantity}


def paid(here: World) -> int:
    """Check that the order is a paid one of Pro, and return the total of its invoice."""
    here.flush()
    with here.app.app_context():
        order = db.session.execute(select(Order)).scalar_one()
        assert (order.state, order.tier, order.interval, order.differs) == ("paid", "pro", "month", None)
        assert access.of(order.customer).tier == "pro"
        return db.session.execute(select(Invoice.total)).scalar_one()


@pytest.mark.parametrize("fee_first", [True, False])
def test_a_fee_beside_the_plan_is_paid_and_is_not_in_the_plan_s_price(
    here: World, visitor: browsing.Browser, fee_first: bool
) -> None:
    lines = [fee(here), plan(here)]
    visitor.open(link(here, *(lines if fee_first else reversed(lines))))
    visitor.pay(email="eve@example.com")
    assert "Thank you. Pro is yours." in visitor.text
    assert "Price $49.99 a month" in visitor.text
    assert paid(here) == PRO + FEE
    assert visitor.receipt(visitor.reveal()).json()["tier"] == "pro"


def test_a_trial_says_its_days_and_the_price_after_them(here: World, visitor: browsing.Browser) -> None:
    visitor.open(link(here, plan(here), subscription_data={"trial_period_days": 14}))
    visitor.pay(email="eve@example.com")
    assert "Thank you. Pro is yours." in visitor.text
    assert "Price $49.99 a month" in visitor.text
    assert "14 days free before that" in visitor.text
    assert paid(here) == 0


def test_a_fee_during_a_trial_is_paid_today(here: World, visitor: browsing.Browser) -> None:
    visitor.open(link(here, fee(here), plan(here), subscription_data={"trial_period_days": 14}))
    visitor.pay(email="eve@example.com")
    assert "Price $49.99 a month" in visitor.text
    assert "14 days free before that" in visitor.text
    assert paid(here) == FEE


def test_several_seats_are_one_price(here: World, visitor: browsing.Browser) -> None:
    visitor.open(link(here, plan(here, 3)))
    visitor.pay(email="eve@example.com")
    assert "Price $149.97 a month" in visitor.text
    assert paid(here) == 3 * PRO
    with here.app.app_context():
        assert db.session.execute(select(Subscription.quantity)).scalar_one() == 3


def test_a_promotion_code_lowers_what_is_paid(here: World, visitor: browsing.Browser) -> None:
    api = here.stripe().v1
    fifth = api.coupons.create({"percent_off": 20, "duration": "once"}).id
    code = api.promotion_codes.create({"promotion": {"type": "coupon", "coupon": fifth}, "code": "FIFTH"})
    assert code.active
    visitor.open(link(here, fee(here), plan(here), allow_promotion_codes=True))
    visitor.press("Apply", promotion_code="FIFTH")
    visitor.pay(email="eve@example.com")
    assert "Price $49.99 a month" in visitor.text
    assert paid(here) == PRO + FEE - 1000 - 580


def test_a_link_that_sells_only_a_fee_is_not_ours(here: World, visitor: browsing.Browser) -> None:
    visitor.open(link(here, fee(here)))
    visitor.pay(email="eve@example.com")
    here.flush()
    with here.app.app_context():
        assert db.session.execute(select(Order)).first() is None


def optional(here: World, **terms: Any) -> dict[str, Any]:
    """Return an extra service of $10 a month, which a link offers beside its plan."""
    api = here.stripe().v1
    product = api.products.create({"name": "Support line"}).id
    recurring = {"interval": "month"}
    price = api.prices.create({"product": product, "currency": "usd", "unit_amount": 1000, "recurring": recurring})
    return {"price": price.id, "quantity": 1, **terms}


def test_a_buyer_who_chooses_the_seats_pays_for_them(here: World, visitor: browsing.Browser) -> None:
    seats = plan(here) | {"adjustable_quantity": {"enabled": True, "minimum": 1, "maximum": 10}}
    visitor.open(link(here, seats))
    visitor.press("Update", quantity="4")
    visitor.pay(email="eve@example.com")
    assert "Thank you. Pro is yours." in visitor.text
    assert "Price $199.96 a month" in visitor.text
    assert paid(here) == 4 * PRO
    with here.app.app_context():
        assert db.session.execute(select(Subscription.quantity)).scalar_one() == 4


def test_an_optional_item_is_paid_with_the_plan_and_shown_beside_it(
    here: World, visitor: browsing.Browser
) -> None:
    visitor.open(link(here, plan(here), optional_items=[optional(here)]))
    visitor.press("Add Support line")
    visitor.pay(email="eve@example.com")
    assert "Thank you. Pro is yours." in visitor.text
    assert "Price $49.99 a month" in visitor.text
    assert paid(here) == PRO + 1000
    assert visitor.receipt(visitor.reveal()).json()["tier"] == "pro"


def test_an_optional_item_that_nobody_took_is_not_paid(here: World, visitor: browsing.Browser) -> None:
    visitor.open(link(here, plan(here), optional_items=[optional(here), fee(here)]))
    visitor.press("Add Set-up")
    visitor.press("Remove Set-up")
    visitor.pay(email="eve@example.com")
    assert paid(here) == PRO


def test_an_optional_fee_is_paid_once(here: World, visitor: browsing.Browser) -> None:
    visitor.open(link(here, plan(here), optional_items=[fee(here)]))
    visitor.press("Add Set-up")
    visitor.pay(email="eve@example.com")
    assert "Price $49.99 a month" in visitor.text
    assert paid(here) == PRO + FEE


def test_a_plan_that_is_offered_beside_a_fee_is_bought_as_a_plan(here: World, visitor: browsing.Browser) -> None:
    visitor.open(link(here, optional(here), optional_items=[plan(here)]))
    visitor.press("Add Pro")
    visitor.pay(email="eve@example.com")
    assert "Thank you. Pro is yours." in visitor.text
    assert paid(here) == PRO + 1000


def test_a_plan_that_was_offered_and_not_taken_gives_nothing(here: World, visitor: browsing.Browser) -> None:
    visitor.open(link(here, optional(here), optional_items=[plan(here)]))
    visitor.pay(email="eve@example.com")
    here.flush()
    with here.app.app_context():
        assert db.session.execute(select(Order)).first() is None
