"""Prices by tier and by package, with the numbers of Stripe's documentation."""

from typing import Any

import pytest
import stripe

# https://docs.stripe.com/subscriptions/pricing-models/tiered-pricing: fonts at $7, from 6 at $6.50, from 11 at $6
FONTS = [
    {"unit_amount": 700, "up_to": 5},
    {"unit_amount_decimal": "650", "up_to": 10},
    {"unit_amount": 600, "up_to": "inf"},
]


@pytest.fixture
def sell(api: Any, bob: Any, product: Any) -> Any:
    """Return the total of the first invoice for this quantity of a price."""

    def invoiced(quantity: int, **terms: Any) -> int:
        monthly = {"product": product.id, "currency": "usd", "recurring": {"interval": "month"}}
        price = api.prices.create(monthly | terms)
        plan = {"customer": bob.id, "items": [{"price": price.id, "quantity": quantity}]}
        made = api.subscriptions.create({**plan, "expand": ["latest_invoice"]})
        return int(made.latest_invoice.total)

    return invoiced


@pytest.mark.parametrize(("quantity", "total"), [(1, 700), (5, 3500), (6, 3900), (20, 12000), (25, 15000)])
def test_volume_prices_every_unit_by_the_tier_of_all(sell: Any, quantity: int, total: int) -> None:
    assert sell(quantity, billing_scheme="tiered", tiers_mode="volume", tiers=FONTS) == total


@pytest.mark.parametrize(("quantity", "total"), [(1, 700), (5, 3500), (6, 4150), (20, 12750), (25, 15750)])
def test_graduated_prices_each_unit_by_its_own_tier(sell: Any, quantity: int, total: int) -> None:
    assert sell(quantity, billing_scheme="tiered", tiers_mode="graduated", tiers=FONTS) == total


def test_each_tier_has_a_line_of_its_own(api: Any, bob: Any, product: Any) -> None:
    """https://docs.stripe.com/subscriptions/pricing-models/tiered-pricing: 6 fonts are 5 × $7 and 1 × $6.50."""
    terms = {"billing_scheme": "tiered", "tiers_mode": "graduated", "tiers": FONTS}
    monthly = {"product": product.id, "currency": "usd", "recurring": {"interval": "month"}}
    price = api.prices.create(monthly | terms)
    made = api.subscriptions.create({"customer": bob.id, "items": [{"price": price.id, "quantity": 6}]})
    lines = api.invoices.retrieve(made.latest_invoice).lines.data
    assert [(line.quantity, line.amount, line.description) for line in lines] == [
        (5, 3500, "5 × Pro (Tier 1 at $7.00 / month)"),
        (1, 650, "1 × Pro (Tier 2 at $6.50 / month)"),
    ]
    assert [int(line.pricing.unit_amount_decimal) for line in lines] == [700, 650]
    # What is not used of both tiers is given back.
    preview = api.invoices.create_preview({"subscription": made.id, "subscription_details": {"cancel_now": True}})
    assert -4150 <= preview.total <= -4149


def test_each_tier_is_rounded_on_its_line(sell: Any) -> None:
    tiers = [{"unit_amount_decimal": "0.5", "up_to": 1}, {"unit_amount_decimal": "10.5", "up_to": "inf"}]
    assert sell(2, billing_scheme="tiered", tiers_mode="graduated", tiers=tiers) == 1 + 11


def test_flat_fees_are_added_once_per_tier(sell: Any) -> None:
    tiers = [
        {"unit_amount": 500, "flat_amount": 1000, "up_to": 5},
        {"unit_amount": 400, "flat_amount_decimal": "2000", "up_to": "inf"},
    ]
    assert sell(6, billing_scheme="tiered", tiers_mode="volume", tiers=tiers) == 6 * 400 + 2000
    assert sell(6, billing_scheme="tiered", tiers_mode="graduated", tiers=tiers) == 5 * 500 + 1000 + 400 + 2000


@pytest.mark.parametrize(("users", "total"), [(1, 1000), (5, 1000), (6, 2000), (7, 2000)])
def test_packages_are_rounded_up(sell: Any, users: int, total: int) -> None:
    """https://stripe.com/docs/billing/subscriptions/quantity-transformation: $10 for every five users"""
    assert sell(users, unit_amount=1000, transform_quantity={"divide_by": 5, "round": "up"}) == total
    assert sell(users, unit_amount=1000, transform_quantity={"divide_by": 5, "round": "down"}) == users // 5 * 1000


def test_tiers_are_sent_on_request_and_must_fit(api: Any, product: Any) -> None:
    terms = {"product": product.id, "currency": "usd", "recurring": {"interval": "month"}}
    tiered = {**terms, "billing_scheme": "tiered", "tiers_mode": "volume"}
    made = api.prices.create({**tiered, "tiers": FONTS, "expand": ["tiers"]})
    assert [(one.up_to, one.unit_amount) for one in made.tiers] == [(5, 700), (10, 650), (None, 600)]
    assert (made.unit_amount, made.tiers_mode) == (None, "volume")
    assert "tiers" not in api.prices.retrieve(made.id)
    for wrong in (
        {**tiered, "tiers": FONTS[:2]},
        {**tiered, "tiers": FONTS, "transform_quantity": {"divide_by": 5, "round": "up"}},
        {**terms, "unit_amount": 5, "tiers": FONTS},
    ):
        with pytest.raises(stripe.InvalidRequestError):
            api.prices.create(wrong)
