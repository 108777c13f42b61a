"""What a buyer may change of an order: quantities and optional items."""

from typing import Any

import pytest
import requests
import stripe

from tests.sandbox.hosted import Page, submit, visit

ADJUSTABLE = {"enabled": True, "minimum": 2, "maximum": 5}


def change(url: str, **typed: str) -> Page:
    """Send the form of the order's lines."""
    return Page(requests.post(f"{url}/items", typed, timeout=30))


@pytest.fixture
def gift(api: Any, product: Any) -> Any:
    return api.prices.create({"product": product.id, "currency": "usd", "unit_amount": 700})


def test_a_buyer_changes_an_adjustable_quantity(api: Any, once: Any, begin: Any) -> None:
    made = begin(
        "payment", once, line_items=[{"price": once.id, "quantity": 2, "adjustable_quantity": ADJUSTABLE}]
    )
    (line,) = api.checkout.sessions.line_items.list(made.id).data
    assert (line.adjustable_quantity.minimum, line.adjustable_quantity.maximum) == (2, 5)
    for wrong in ("1", "6", "", "two", "-3"):
        assert "Enter a number from 2 to 5." in change(made.url, line=line.id, quantity=wrong).text
    assert change(made.url, line=line.id, quantity="4").status == 200
    submit(made.url)
    found = api.checkout.sessions.retrieve(made.id, {"expand": ["line_items"]})
    assert (found.amount_total, found.line_items.data[0].quantity) == (6000, 4)


def test_an_optional_item_is_added_and_removed(api: Any, once: Any, gift: Any, begin: Any) -> None:
    asked = {"price": gift.id, "quantity": 2, "adjustable_quantity": {"enabled": True, "minimum": 1, "maximum": 3}}
    made = begin("payment", once, optional_items=[asked])
    (shown,) = made.optional_items
    assert (shown.price, shown.quantity) == (gift.id, 2)
    assert (shown.adjustable_quantity.minimum, shown.adjustable_quantity.maximum) == (1, 3)
    assert "Add to your order" in visit(made.url).text
    assert change(made.url, add=once.id).status == 422
    change(made.url, add=gift.id)
    lines = api.checkout.sessions.line_items.list(made.id).data
    assert [(line.price.id, line.quantity) for line in lines] == [(once.id, 1), (gift.id, 2)]
    change(made.url, line=lines[1].id, quantity="0")
    assert "Add to your order" in visit(made.url).text
    change(made.url, add=gift.id)
    added = api.checkout.sessions.line_items.list(made.id).data[1]
    change(made.url, line=added.id, quantity="3")
    submit(made.url)
    assert api.checkout.sessions.retrieve(made.id).amount_total == 1500 + 3 * 700


def test_the_last_line_stays(api: Any, once: Any, monthly: Any, gift: Any, begin: Any) -> None:
    free = {"enabled": True, "minimum": 0, "maximum": 3}
    alone = begin("payment", once, line_items=[{"price": once.id, "quantity": 1, "adjustable_quantity": free}])
    line = api.checkout.sessions.line_items.list(alone.id).data[0].id
    assert "Enter 1 or more" in change(alone.url, line=line, quantity="0").text
    both = [{"price": monthly.id, "quantity": 1, "adjustable_quantity": free}, {"price": gift.id, "quantity": 1}]
    plan = begin("subscription", line_items=both)
    line = api.checkout.sessions.line_items.list(plan.id).data[0].id
    assert change(plan.url, line=line, quantity="0").status == 422


def test_a_link_hands_on_what_may_be_changed(api: Any, monthly: Any, gift: Any) -> None:
    lines = [{"price": monthly.id, "quantity": 2, "adjustable_quantity": ADJUSTABLE}]
    optional = [
        {"price": gift.id, "quantity": 1, "adjustable_quantity": {"enabled": True, "minimum": 1, "maximum": 2}}
    ]
    link = api.payment_links.create({"line_items": lines, "optional_items": optional})
    limits = link.optional_items[0].adjustable_quantity
    assert (limits.minimum, limits.maximum) == (1, 2)
    url = visit(link.url).response.url
    session = api.checkout.sessions.list({"payment_link": link.id}).data[0]
    line = api.checkout.sessions.line_items.list(session.id).data[0]
    assert (line.adjustable_quantity.minimum, line.adjustable_quantity.maximum) == (2, 5)
    change(url, line=line.id, quantity="3")
    change(url, add=gift.id)
    submit(url)
    paid = api.checkout.sessions.retrieve(session.id)
    assert paid.amount_total == 3 * monthly.unit_amount + 700
    assert api.subscriptions.retrieve(paid.subscription).items.data[0].quantity == 3


@pytest.mark.parametrize(
    ("line", "param"),
    [
        ({"quantity": 1, "adjustable_quantity": ADJUSTABLE}, "line_items[0][adjustable_quantity]"),
        (
            {"quantity": 2, "adjustable_quantity": ADJUSTABLE | {"maximum": 1_000_000}},
            "line_items[0][adjustable_quantity][maximum]",
        ),
    ],
)
def test_impossible_limits_are_refused(begin: Any, once: Any, line: Any, param: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        begin("payment", once, line_items=[{"price": once.id, **line}])
    assert refused.value.param == param


def test_a_plan_is_no_optional_item_of_a_payment(begin: Any, once: Any, monthly: Any) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        begin("payment", once, optional_items=[{"price": monthly.id, "quantity": 1}])
    assert refused.value.param == "optional_items[0][price]"
