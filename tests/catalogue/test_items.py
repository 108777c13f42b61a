"""What is on sale: catalogue keys and allowed prices, and nothing else."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update

from portal import gateway
from portal.catalogue import items
from portal.errors import InvalidInput
from portal.extensions import db
from portal.models import Plan, Price
from tests.support.world import World


def catalogue_price(key: str, mode: str = "live") -> str:
    price = db.session.execute(select(Price).filter_by(key=key)).scalar_one()
    db.session.commit()
    return price.stripe_id(mode) or ""


@pytest.fixture
def setting(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Run with other settings."""

    def change(**values: Any) -> None:
        changed = app.extensions["settings"].model_copy(update=values)
        monkeypatch.setitem(app.extensions, "settings", changed)

    return change


@pytest.fixture
def price_at_stripe(here: World) -> Callable[..., str]:
    """Create a price that is not in the catalogue, and return its id."""

    def make(mode: str = "live", **more: Any) -> str:
        stripe = here.stripe(mode).v1
        product = stripe.products.create({"name": "Team"})
        given = {
            "product": product.id,
            "currency": "usd",
            "unit_amount": 900,
            "recurring": {"interval": "month"},
            "metadata": {"tier": "team"},
        }
        made = stripe.prices.create({name: value for name, value in (given | more).items() if value is not None})
        return str(made.id)

    return make


def refused(word: str, mode: str = "live") -> None:
    with pytest.raises(InvalidInput, match="not on sale"):
        items.find(word, mode)


def test_a_catalogue_key_names_a_price_of_each_mode(app: Flask) -> None:
    for mode in ("live", "test"):
        found = items.find("pro-yearly", mode)
        assert (found.amount, found.currency, found.interval, found.tier) == (47999, "usd", "year", "pro")
        assert found.stripe_id == catalogue_price("pro-yearly", mode)


def test_the_stripe_id_of_a_catalogue_price_names_the_same(app: Flask) -> None:
    assert items.find(catalogue_price("pro-monthly"), "live") == items.find("pro-monthly", "live")


def test_the_free_plan_has_nothing_for_stripe_to_do(app: Flask) -> None:
    assert items.find("free-monthly", "live").is_free


def test_a_price_of_the_other_mode_is_not_on_sale(app: Flask, setting: Callable[..., None]) -> None:
    other = catalogue_price("pro-monthly", "test")
    refused(other)
    setting(stripe_allowed_price_ids=frozenset({other}))
    refused(other)


def test_hidden_and_withdrawn_are_not_on_sale(app: Flask) -> None:
    refused("beta-monthly")
    db.session.execute(update(Price).where(Price.key == "pro-monthly").values(withdrawn=True))
    db.session.execute(update(Plan).where(Plan.tier == "starter").values(withdrawn=True))
    db.session.commit()
    for word in ("pro-monthly", "starter-monthly", "starter-yearly"):
        refused(word)
    assert items.find("pro-yearly", "live").amount == 47999


def test_an_allow_list_shuts_out_the_rest_of_the_catalogue(app: Flask, setting: Callable[..., None]) -> None:
    setting(stripe_allowed_price_ids=frozenset({catalogue_price("pro-monthly")}))
    assert items.find("pro-monthly", "live").tier == "pro"
    refused("starter-monthly")


def test_without_an_allow_list_a_price_outside_the_catalogue_is_not_on_sale(
    app: Flask, price_at_stripe: Callable[..., str]
) -> None:
    refused(price_at_stripe())


def test_an_allowed_price_is_sold_as_stripe_describes_it(
    app: Flask, setting: Callable[..., None], price_at_stripe: Callable[..., str]
) -> None:
    price = price_at_stripe()
    setting(stripe_allowed_price_ids=frozenset({price}))
    found = items.find(price, "live")
    assert (found.name, found.tier, found.amount, found.interval) == ("Team", "team", 900, "month")
    assert (found.key, found.stripe_id, found.metered) == (price, price, False)


def test_the_price_map_allows_a_price_and_outranks_its_own_tier(
    app: Flask, setting: Callable[..., None], price_at_stripe: Callable[..., str]
) -> None:
    price = price_at_stripe()
    setting(stripe_price_map={price: "enterprise"})
    assert items.find(price, "live").tier == "enterprise"


def test_a_one_time_price_has_no_interval(
    app: Flask, setting: Callable[..., None], price_at_stripe: Callable[..., str]
) -> None:
    price = price_at_stripe(recurring=None)
    setting(stripe_allowed_price_ids=frozenset({price}))
    assert items.find(price, "live").interval is None


def test_an_allowed_price_without_a_tier_is_sold(
    app: Flask, setting: Callable[..., None], price_at_stripe: Callable[..., str]
) -> None:
    price = price_at_stripe(metadata={})
    setting(stripe_allowed_price_ids=frozenset({price}))
    found = items.find(price, "live")
    assert (found.name, found.tier, found.amount) == ("Team", None, 900)


def test_an_archived_allowed_price_is_refused_with_what_is_on_offer(
    app: Flask, setting: Callable[..., None], price_at_stripe: Callable[..., str]
) -> None:
    price = price_at_stripe(active=False)
    setting(stripe_allowed_price_ids=frozenset({price, catalogue_price("pro-monthly")}))
    with pytest.raises(
        items.Archived, match=r"This price of Team is no longer sold\. On offer now: Pro \(\$49\.99 a month\)\."
    ):
        items.find(price, "live")


PRICE_MAP, PRICE, PRODUCT, METADATA = items.TierSource


@pytest.mark.parametrize(
    ("product", "settings", "also", "more", "found"),
    [
        ("pro", {}, "product", {}, (PRODUCT, "pro")),
        ("pro", {}, "product", {"metadata": {"tier": "enterprise"}}, (PRODUCT, "pro")),
        ("pro", {"stripe_price_map": "enterprise"}, "product", {}, (PRICE_MAP, "enterprise")),
        ("pro", {}, None, {"metadata": {"tier": "enterprise"}}, (METADATA, "enterprise")),
        ("pro", {}, None, {"metadata": {}}, None),
        (None, {}, "product", {"metadata": {}}, None),  # of another product
        ("pro", {}, "product", {"metadata": {}, "recurring": None}, None),  # a fee beside the plan
    ],
)
def test_what_gives_a_price_outside_the_catalogue_its_tier(
    here: World,
    app: Flask,
    setting: Callable[..., None],
    price_at_stripe: Callable[..., str],
    product: str | None,
    settings: dict[str, str],
    also: str | None,
    more: dict[str, Any],
    found: tuple[items.TierSource, str] | None,
) -> None:
    plan = db.session.execute(select(Plan).filter_by(key="pro")).scalar_one()
    plan.also = also
    db.session.commit()
    price = price_at_stripe(**({"product": plan.live_product_id} if product else {}), **more)
    setting(**{name: {price: tier} for name, tier in settings.items()})
    assert items.tier_and_source(gateway.of("live").price(price), "live") == found


def test_the_price_map_outranks_the_catalogue(app: Flask, setting: Callable[..., None]) -> None:
    price = catalogue_price("pro-monthly")
    facts = gateway.of("live").price(price)
    assert items.tier_and_source(facts, "live") == (PRICE, "pro")
    setting(stripe_price_map={price: "enterprise"})
    assert items.tier_and_source(facts, "live") == (PRICE_MAP, "enterprise")


def test_a_product_that_two_plans_share_gives_neither(app: Flask, price_at_stripe: Callable[..., str]) -> None:
    for plan in db.session.execute(select(Plan).where(Plan.key.in_(["pro", "starter"]))).scalars():
        plan.also, plan.test_product_id = "product", "prod_shared"
    db.session.commit()
    assert (
        items.tier_and_source(
            replace(gateway.of("live").price(price_at_stripe()), product="prod_shared", tier=None), "test"
        )
        is None
    )


def test_an_allowed_price_that_stripe_does_not_know_is_refused(app: Flask, setting: Callable[..., None]) -> None:
    setting(stripe_allowed_price_ids=frozenset({"price_never"}))
    refused("price_never")


@pytest.mark.parametrize("kept_back", [{"hidden": True}, {"withdrawn": True}])
def test_the_price_map_sells_nothing_that_the_catalogue_keeps_back(
    app: Flask, setting: Callable[..., None], kept_back: dict[str, bool]
) -> None:
    plan = db.session.execute(select(Plan).filter_by(tier="enterprise")).scalar_one()
    price = str(plan.prices[0].live_price_id)
    db.session.execute(update(Plan).filter_by(id=plan.id).values(**kept_back))
    db.session.commit()
    setting(stripe_price_map={price: "enterprise"})
    refused(price)
