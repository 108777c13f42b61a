"""`flask seed-plans` and `flask catalogue push`."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update

from portal.catalogue import commands, plans
from portal.extensions import db
from portal.models import CreditPackage, Meter, Plan, Price
from tests.support.browsing import Browser
from tests.support.world import World


@pytest.fixture
def flask(app: Flask) -> Callable[..., Any]:
    """`flask …`: its exit code and output."""
    return lambda *words: app.test_cli_runner().invoke(args=words)


def ids() -> dict[str, str | None]:
    on_sale = db.session.execute(select(Price).where(~Price.withdrawn)).scalars()
    found = {price.key: price.live_price_id for price in on_sale}
    db.session.commit()
    return found


def forget(*keys: str, **values: Any) -> None:
    db.session.execute(update(Price).where(Price.key.in_(keys)).values(values or {"live_price_id": None}))
    db.session.commit()


def without_plans() -> None:
    db.session.execute(Price.__table__.delete())
    db.session.execute(Plan.__table__.delete())
    db.session.commit()


def test_seeding_lists_plans_with_their_prices(app: Flask, flask: Callable[..., Any]) -> None:
    without_plans()
    lines = flask("seed-plans").output.splitlines()
    rule = "=" * 70
    assert lines[:5] == [rule, "Subscription Plans Seed Script", rule, "", "Seeding subscription plans..."]
    assert "  ✓ Created Free plan with 6 features" in lines  # without what it includes
    assert "  ✓ Created Starter plan with 6 features" in lines
    assert "  ✓ Created Pro plan with 7 features" in lines
    assert any(line.startswith("✓ Successfully seeded 5 subscription plans") for line in lines)
    assert "Plans created:" in lines
    assert any(re.fullmatch(r"  • Free Plan +\(\$0/mo\) - Price ID: .+", line) for line in lines)
    assert "  • Starter Plan    ($19.99/mo or $199.99/yr)" in lines
    assert "  • Pro Plan        ($49.99/mo or $479.99/yr)" in lines
    assert lines[-3:] == [rule, "Seed completed successfully!", rule]


def test_once_pushed_the_price_ids_are_printed(app: Flask, flask: Callable[..., Any]) -> None:
    lines = flask("seed-plans").output.splitlines()
    pro = lines.index("  • Pro Plan        ($49.99/mo or $479.99/yr)")
    known = ids()
    assert lines[pro + 1] == f"    - Monthly: {known['pro-monthly']}"
    assert lines[pro + 2] == f"    - Yearly:  {known['pro-yearly']}"
    assert "✓ Successfully seeded 5 subscription plans with production Stripe price IDs" in lines
    assert "Stripe integration ready for production use." in lines


def test_seeding_again_changes_nothing_and_says_so(app: Flask, flask: Callable[..., Any]) -> None:
    before = ids()
    output = flask("seed-plans").output
    assert output.count("✓ Unchanged") == 5 + 6 + 4  # plans, packages with the custom amount, and meters
    assert "Created" not in output.replace("Plans created", "")
    assert ids() == before


def test_seeding_restores_what_was_changed_by_hand(app: Flask, flask: Callable[..., Any]) -> None:
    forget("pro-monthly", amount=1)
    assert "✓ Updated Pro plan" in flask("seed-plans").output
    assert db.session.execute(select(Price.amount).filter_by(key="pro-monthly")).scalar_one() == 4999


def test_pushing_again_makes_nothing(app: Flask, flask: Callable[..., Any]) -> None:
    before = ids()
    result = flask("catalogue", "push")
    assert result.exit_code == 0
    assert "created" not in result.output
    assert "adopted" not in result.output
    assert ids() == before


def test_pushing_adopts_what_stripe_has_under_the_lookup_key(app: Flask, flask: Callable[..., Any]) -> None:
    before = ids()
    forget("pro-monthly", "pro-yearly")
    assert flask("catalogue", "push").output.count("adopted") == 2
    assert ids() == before


def test_a_dry_run_says_what_is_missing_and_makes_nothing(
    app: Flask, here: World, flask: Callable[..., Any]
) -> None:
    forget("pro-monthly", lookup_key="portal_new_pro")
    forget("pro-monthly")
    result = flask("catalogue", "push", "--dry-run")
    assert re.search(r"pro-monthly +missing", result.output)
    assert ids()["pro-monthly"] is None
    assert not here.stripe().v1.prices.list({"lookup_keys": ["portal_new_pro"]}).data


def test_pushing_makes_a_missing_price_under_the_plan_s_product_with_its_tier(
    app: Flask, here: World, flask: Callable[..., Any]
) -> None:
    key = "portal_another_pro"
    forget("pro-monthly", lookup_key=key, live_price_id=None)
    assert re.search(r"pro-monthly +created", flask("catalogue", "push").output)
    (made,) = here.stripe().v1.prices.list({"lookup_keys": [key]}).data
    yearly = here.stripe().v1.prices.retrieve(ids()["pro-yearly"] or "")
    assert (made.id, made.metadata["tier"], made.unit_amount) == (ids()["pro-monthly"], "pro", 4999)
    assert made.product == yearly.product


def test_a_price_that_the_environment_names_wins(
    app: Flask, here: World, flask: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    stripe = here.stripe().v1
    product = stripe.products.create({"name": "Pro of before"})
    recurring = {"interval": "month"}
    own = stripe.prices.create(
        {"product": product.id, "currency": "usd", "unit_amount": 4999, "recurring": recurring}
    )
    settings = app.extensions["settings"].model_copy(update={"price_ids": {"pro-monthly": own.id}})
    monkeypatch.setitem(app.extensions, "settings", settings)
    assert f"Monthly: {own.id}" in flask("seed-plans").output
    assert re.search(rf"pro-monthly +kept.+{own.id}", flask("catalogue", "push").output)
    assert ids()["pro-monthly"] == own.id


@pytest.mark.parametrize(
    ("key", "model", "row"),
    [
        ("credits-basic", CreditPackage, "basic"),
        ("credit", CreditPackage, "custom"),
        ("api_calls", Meter, "api_calls"),
    ],
)
def test_prices_of_packages_and_meters_can_be_named_too(
    app: Flask, flask: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, key: str, model: Any, row: str
) -> None:
    settings = app.extensions["settings"].model_copy(update={"price_ids": {key: "price_of_before"}})
    monkeypatch.setitem(app.extensions, "settings", settings)
    assert flask("seed-plans").exit_code == 0
    assert db.session.execute(select(model.live_price_id).filter_by(key=row)).scalar_one() == "price_of_before"


def test_a_setting_that_names_nothing_in_the_catalogue_is_warned_of_once(
    app: Flask,
    flask: Callable[..., Any],
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unknown = {"unknown_prices": ("STRIPE_PRICE_TEAM_MONTHLY",)}
    monkeypatch.setitem(app.extensions, "settings", app.extensions["settings"].model_copy(update=unknown))
    loaded = flask("seed-plans")
    assert loaded.exit_code == 0
    assert loaded.output.count("STRIPE_PRICE_TEAM_MONTHLY names nothing in the catalogue") == 1
    plans.log_unknown_prices()
    said = capsys.readouterr().out + caplog.text
    assert said.count("price_settings_unknown") == 1
    assert "STRIPE_PRICE_TEAM_MONTHLY" in said


def test_a_price_that_differs_at_stripe_is_refused_and_left_alone(
    app: Flask, here: World, flask: Callable[..., Any]
) -> None:
    forget("pro-monthly", amount=5000)
    result = flask("catalogue", "push")
    assert result.exit_code == 1
    assert "pro-monthly: the catalogue says" in result.output
    at_stripe = here.stripe().v1.prices.retrieve(ids()["pro-monthly"] or "")
    assert at_stripe.unit_amount == 4999


@pytest.fixture
def real_money(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """A live key over TLS, as with Stripe itself; the calls still go to the sandbox."""
    settings = app.extensions["settings"].model_copy(update={"stripe_api_base": "https://api.stripe.com"})
    monkeypatch.setitem(app.extensions, "settings", settings)


def made(here: World, key: str) -> list[Any]:
    return here.stripe().v1.prices.list({"lookup_keys": [key]}).data


@pytest.mark.usefixtures("real_money")
def test_live_prices_are_made_only_when_somebody_agrees(
    app: Flask, here: World, flask: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "portal_pro_of_the_live_account"
    forget("pro-monthly", lookup_key=key, live_price_id=None)
    refused = flask("catalogue", "push")
    assert refused.exit_code == 1
    assert re.search(r"pro-monthly +Pro, \$49.99 a month", refused.output)
    assert "--yes" in refused.output
    assert not made(here, key)

    monkeypatch.setattr(commands, "somebody_can_be_asked", lambda: True)  # click's runner is no terminal
    runner = app.test_cli_runner()
    assert runner.invoke(args=["catalogue", "push"], input="n\n").exit_code == 1
    assert not made(here, key)
    assert runner.invoke(args=["catalogue", "push"], input="y\n").exit_code == 0
    assert len(made(here, key)) == 1


@pytest.mark.usefixtures("real_money")
def test_scripts_agree_by_an_option_and_nothing_missing_asks_nothing(
    app: Flask, here: World, flask: Callable[..., Any]
) -> None:
    assert flask("catalogue", "push").exit_code == 0
    key = "portal_pro_of_a_script"
    forget("pro-monthly", lookup_key=key, live_price_id=None)
    assert flask("catalogue", "push", "--yes").exit_code == 0
    assert len(made(here, key)) == 1


@pytest.mark.usefixtures("real_money")
def test_a_start_makes_nothing_in_the_live_account(
    app: Flask, here: World, capsys: pytest.CaptureFixture[str]
) -> None:
    live, test = "portal_pro_live_at_start", "portal_pro_test_at_start"
    forget("pro-monthly", lookup_key=live, live_price_id=None)
    commands.push_what_can_be()
    assert "Not in your live Stripe account yet: 1 of" in capsys.readouterr().err
    assert not made(here, live)
    forget("pro-monthly", lookup_key=test, test_price_id=None)
    commands.push_what_can_be()
    assert len(here.stripe("test").v1.prices.list({"lookup_keys": [test]}).data) == 1


def test_a_plan_without_a_live_price_is_not_on_sale_and_the_log_says_so_once(
    app: Flask, visitor: Browser, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    assert plans.not_on_sale(plans.every_plan()) == []
    forget("enterprise-monthly", "pro-monthly")
    visitor.open("/pricing")
    assert "Starter" in visitor.text
    assert "Enterprise" not in visitor.text
    assert "$49.99" not in visitor.text
    assert "$479.99" in visitor.text  # Pro is still sold yearly
    plans.log_what_is_not_on_sale()
    said = capsys.readouterr().out + caplog.text
    assert said.count("plans_not_on_sale") == 1
    assert "enterprise-monthly" in said


def test_a_plan_and_a_package_that_changed_together_are_both_restored(
    app: Flask, flask: Callable[..., Any]
) -> None:
    """Customers are marked after the whole catalogue is written, so no two commands wait for each other."""
    db.session.execute(update(Plan).filter_by(key="pro").values(name="Another"))
    db.session.execute(update(CreditPackage).filter_by(key="basic").values(credits=1))
    db.session.commit()
    output = flask("seed-plans").output
    assert "✓ Updated Pro plan" in output
    assert "✓ Updated Basic credits" in output
