"""`flask moving views`: an operator's old queries run as they were written, and change nothing."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_migrate import downgrade, upgrade
from sqlalchemy import inspect, text
from sqlalchemy.exc import DatabaseError

from portal import create_app
from portal import settings as settings_module
from portal.credits import ledger
from portal.extensions import db
from portal.importer import sql_views
from tests.conftest import Person, worker
from tests.support.credits import buy
from tests.support.included import include
from tests.support.world import World, environ, fresh_database

pytestmark = pytest.mark.both_databases

PLANS = """
SELECT name, display_name, price_monthly, price_yearly, is_active
FROM subscription_plans;"""
FEATURES = """
SELECT sp.name, COUNT(pf.id) as feature_count
FROM subscription_plans sp
LEFT JOIN plan_features pf ON sp.id = pf.plan_id
GROUP BY sp.name;"""
SUBSCRIPTION = "SELECT * FROM user_subscriptions WHERE user_id = '<user-id>';"
LOG = "SELECT * FROM audit_logs WHERE action LIKE 'subscription%' ORDER BY created_at DESC LIMIT 20;"


@pytest.fixture
def flask(app: Flask) -> Iterator[Callable[..., Any]]:
    """`flask …`: its exit code and output. The views are removed afterwards."""
    yield lambda *words: app.test_cli_runner().invoke(args=words)
    db.session.rollback()
    app.test_cli_runner().invoke(args=["moving", "views", "--drop"])


@pytest.fixture
def views(flask: Callable[..., Any]) -> None:
    made = flask("moving", "views")
    assert made.exit_code == 0, made.output
    assert made.output.split() == [word for name in sql_views.VIEWS for word in ("view", name)]


def read(query: str, **values: Any) -> list[dict[str, Any]]:
    rows = [dict(row) for row in db.session.execute(text(query), values).mappings()]
    db.session.rollback()
    return rows


@pytest.mark.usefixtures("views")
def test_the_check_of_the_plans_runs_as_written() -> None:
    plans = {row["name"]: row for row in read(PLANS)}
    assert {name: str(row["price_monthly"]) for name, row in plans.items() if name in ("starter", "pro")} == {
        "starter": "19.99",
        "pro": "49.99",
    }
    assert (plans["pro"]["display_name"], str(plans["pro"]["price_yearly"])) == ("Pro", "479.99")
    assert plans["enterprise"]["price_yearly"] is None
    assert (plans["free"]["price_monthly"], all(row["is_active"] for row in plans.values())) == (0, True)
    for tier in ("free", "starter", "pro"):  # what the sample includes
        include(tier, included={"api_calls": 1_000}, credits=5_000 if tier == "pro" else 0)
    features = {row["name"]: row["feature_count"] for row in read(FEATURES)}
    assert {name: features[name] for name in ("free", "starter", "pro")} == {"free": 7, "starter": 7, "pro": 9}


@pytest.mark.usefixtures("views")
def test_a_subscription_is_found_by_its_user(bob: Person) -> None:
    query = SUBSCRIPTION.replace("<user-id>", str(bob.user_id))
    (found,) = read(query)
    assert (found["user_id"], found["status"], found["plan_name"], found["provider"]) == (
        bob.user_id,
        "active",
        "pro",
        "stripe",
    )
    assert found["stripe_customer_id"].startswith("cus_")
    assert found["stripe_subscription_id"].startswith("sub_")
    assert (found["amount"], bool(found["cancel_at_period_end"])) == (4999, False)
    assert read(SUBSCRIPTION.replace("<user-id>", "0")) == []


@pytest.mark.usefixtures("views")
def test_the_newest_lines_about_subscriptions_are_read_as_written(bob: Person) -> None:
    found = read(LOG)
    assert {row["action"] for row in found} == {"subscription.activated"}
    assert found[0]["user_id"] == bob.user_id
    assert found == sorted(found, key=lambda row: str(row["created_at"]), reverse=True)


@pytest.mark.usefixtures("views")
def test_a_payment_of_credits_is_found_by_its_intent(alice: Person, here: World) -> None:
    buy(here, alice)
    here.flush()
    ledger.spend(*_customer(alice), "call-1")
    db.session.commit()
    bought, spent = read("SELECT * FROM credit_transactions ORDER BY id")
    assert (bought["user_id"], bought["amount"], bought["transaction_type"]) == (alice.user_id, 5500, "purchase")
    assert bought["stripe_payment_intent_id"].startswith("pi_")
    assert (spent["amount"], spent["balance_after"], spent["reference_id"]) == (-25, 5475, "call-1")


def _customer(person: Person) -> tuple[int, int]:
    query = text("SELECT id FROM customers WHERE user_id = :user")
    found: int = db.session.execute(query, {"user": person.user_id}).scalar_one()
    db.session.rollback()
    return found, 25


@pytest.mark.usefixtures("views")
def test_the_products_are_listed_with_their_prices(here: World) -> None:
    rows = {row["id"]: row for row in read("SELECT * FROM stripe_products")}
    assert {row["kind"] for row in rows.values()} == {"plan", "credits", "usage"}
    api = rows["api_calls"]
    assert (Decimal(str(api["unit_price"])), api["per"]) == (Decimal("0.01"), 1000)
    price = here.stripe().v1.prices.retrieve(api["stripe_price_id"])
    assert price.product == api["stripe_product_id"]


@pytest.mark.usefixtures("views")
def test_amounts_have_the_decimals_of_their_currency() -> None:
    for currency, amount in (("jpy", "4999"), ("kwd", "4.999"), ("eur", "49.99")):
        db.session.execute(text("UPDATE prices SET currency = :to WHERE key = 'pro-monthly'"), {"to": currency})
        db.session.flush()
        query = "SELECT price_monthly FROM subscription_plans WHERE name = 'pro'"
        found = db.session.execute(text(query)).scalar_one()
        assert Decimal(str(found)) == Decimal(amount)
    db.session.rollback()


@pytest.mark.usefixtures("views")
def test_nothing_can_be_written_through_them() -> None:
    for name in sql_views.VIEWS:
        for write in ("DELETE FROM {}", "UPDATE {} SET id = id", "INSERT INTO {} (id) VALUES ('1')"):
            with pytest.raises(DatabaseError, match="view"):
                db.session.execute(text(write.format(name)))
            db.session.rollback()


def test_they_are_made_again_and_dropped(flask: Callable[..., Any], views: None) -> None:
    assert flask("moving", "views").exit_code == 0
    dropped = flask("moving", "views", "--drop")
    assert [line.split()[1] for line in dropped.output.splitlines()] == list(sql_views.VIEWS)
    assert inspect(db.session.connection()).get_view_names() == []
    db.session.rollback()
    assert flask("moving", "views", "--drop").output == ""


def test_an_operators_own_view_stays(flask: Callable[..., Any]) -> None:
    db.session.execute(text("CREATE VIEW audit_logs AS SELECT 1 AS id"))
    db.session.commit()
    try:
        refused = flask("moving", "views")
        assert (refused.exit_code, "audit_logs" in refused.output) == (1, True)
        db.session.rollback()
        assert inspect(db.session.connection()).get_view_names() == ["audit_logs"]
    finally:
        db.session.rollback()
        db.session.execute(text("DROP VIEW audit_logs"))
        db.session.commit()


@pytest.fixture(params=["sqlite", "postgresql"])
def bare(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Flask]:
    """The portal on a database of its own, at the newest schema."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/views.db"
    else:
        url = fresh_database(request.getfixturevalue("postgres_server"), f"portal_views_{worker()}")
    app = create_app(settings_module.load(environ(tmp_path, url, 8000, "http://127.0.0.1:9"), env_file=None))
    with app.app_context():
        upgrade()
        yield app
        db.session.remove()
        db.engine.dispose()


def standing() -> set[str]:
    found = set(inspect(db.session.connection()).get_view_names())
    db.session.rollback()
    return found


def test_an_upgrade_makes_again_those_that_were_there(bare: Flask) -> None:
    """Revision 0037 widens a column that the view reads: SQLite copies the table, PostgreSQL alters it."""
    downgrade(revision="0036")
    db.session.execute(
        text(f"CREATE VIEW user_subscriptions AS /* {sql_views.MARK} */ SELECT * FROM subscriptions")
    )
    if db.engine.dialect.name == "postgresql":
        db.session.execute(text(f"COMMENT ON VIEW user_subscriptions IS '{sql_views.MARK}'"))
    db.session.commit()
    upgrade()
    assert standing() == {"user_subscriptions"}
    assert read("SELECT provider FROM user_subscriptions") == []  # this version's view, not the earlier one's


def test_a_downgrade_leaves_them_away(bare: Flask, capsys: pytest.CaptureFixture[str]) -> None:
    run = bare.test_cli_runner()
    assert run.invoke(args=["moving", "views"]).exit_code == 0
    upgrade()  # nothing to do
    assert standing() == set(sql_views.VIEWS)
    downgrade(revision="-1")
    assert standing() == set()
    assert "`flask moving views` creates them again" in capsys.readouterr().out
    refused = run.invoke(args=["moving", "views"])
    assert (refused.exit_code, "flask db upgrade" in refused.output) == (1, True)
    db.session.rollback()
    upgrade()
    assert standing() == set()
