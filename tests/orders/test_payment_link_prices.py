"""Which price a Payment Link sells: the given one, else the price map's, else the catalogue's."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from portal.extensions import db
from portal.models import PaymentLink
from tests.support.world import World

Mapped = Callable[..., None]


@pytest.fixture
def mapped(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Mapped:
    """Set STRIPE_PRICE_MAP."""

    def give(**tiers: str) -> None:
        settings = app.extensions["settings"].model_copy(update={"stripe_price_map": tiers})
        monkeypatch.setitem(app.extensions, "settings", settings)

    return give


def own_price(here: World, amount: int = 2900, interval: str = "month") -> str:
    """A price that the operator made by hand."""
    made = here.stripe().v1.prices.create(
        {
            "currency": "usd",
            "unit_amount": amount,
            "recurring": {"interval": interval},
            "product_data": {"name": "Pro of before"},
        }
    )
    return str(made.id)


def create(app: Flask, *options: str) -> Any:
    return app.test_cli_runner().invoke(args=["payment-link", "create", "--tier", "pro", *options])


def sold(app: Flask, options: Sequence[str] = ()) -> str:
    """The price that a new link sells."""
    done = create(app, *options)
    assert done.exit_code == 0, done.output
    newest = select(PaymentLink.price_id).order_by(PaymentLink.id.desc()).limit(1)
    found = db.session.execute(newest).scalar_one()
    db.session.commit()
    return found


def test_the_price_map_wins_over_the_catalogue(app: Flask, here: World, mapped: Mapped) -> None:
    catalogue_price = sold(app)
    own = own_price(here)
    mapped(**{own: "pro"})
    assert sold(app) == own != catalogue_price
    link = here.stripe().v1.payment_links.list({"limit": 1}).data[0]
    lines = here.stripe().v1.payment_links.line_items.list(link.id).data
    assert [line.price.unit_amount for line in lines] == [2900]


def test_of_several_prices_the_cycle_chooses(app: Flask, here: World, mapped: Mapped) -> None:
    catalogue_year = sold(app, ["--cycle", "year"])
    monthly, yearly = own_price(here), own_price(here, 29000, "year")
    mapped(**{yearly: "pro", monthly: "pro"})
    assert sold(app) == monthly
    assert sold(app, ["--cycle", "year"]) == yearly
    mapped(**{monthly: "pro"})
    assert sold(app, ["--cycle", "year"]) == catalogue_year
    mapped(**{yearly: "pro"})
    assert sold(app) == yearly


def test_what_stays_open_is_asked(app: Flask, here: World, mapped: Mapped) -> None:
    first, second = own_price(here), own_price(here, 3900)
    mapped(**{first: "pro", second: "pro"})
    refused = create(app)
    assert refused.exit_code == 1
    assert "--price" in refused.output
    assert second in refused.output
    assert sold(app, ["--price", second]) == second


def test_a_named_price_must_give_the_tier(app: Flask, here: World, mapped: Mapped) -> None:
    own = own_price(here)
    refused = create(app, "--price", own)
    assert refused.exit_code == 1
    assert f"Add {own}:pro to STRIPE_PRICE_MAP" in refused.output
    mapped(**{own: "enterprise"})
    assert "It gives enterprise." in create(app, "--price", own).output
    assert "no price price_unknown" in create(app, "--price", "price_unknown").output


def test_an_archived_price_of_the_map_is_refused(app: Flask, here: World, mapped: Mapped) -> None:
    own = own_price(here)
    here.stripe().v1.prices.update(own, {"active": False})
    mapped(**{own: "pro"})
    assert "archived" in create(app).output


def test_the_flag_of_the_system_before_is_taken(app: Flask) -> None:
    sold(app, ["--allow-pro"])
