"""The schema: up, down and up again on both databases, and no difference from the models."""

import re
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask import Flask
from flask_migrate import downgrade, upgrade
from sqlalchemy import CheckConstraint, inspect, text

from portal import create_app
from portal import settings as settings_module
from portal.extensions import db
from tests.conftest import worker
from tests.support.world import environ, fresh_database

pytestmark = pytest.mark.both_databases


@pytest.fixture(params=["sqlite", "postgresql"])
def bare(request: pytest.FixtureRequest, tmp_path: Path) -> Flask:
    """The portal on a database without a single table."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/bare.db"
    else:
        url = fresh_database(request.getfixturevalue("postgres_server"), f"portal_bare_{worker()}")
    given = environ(tmp_path, url, 8000, "http://127.0.0.1:9")
    return create_app(settings_module.load(given, env_file=None))


def tables() -> set[str]:
    return set(inspect(db.engine).get_table_names()) - {"alembic_version"}


def test_migrations_go_up_down_and_up_and_fit_the_models(bare: Flask) -> None:
    with bare.app_context():
        upgrade()
        at_head = tables()
        assert at_head == set(db.metadata.tables)
        downgrade(revision="base")
        assert tables() == set()
        upgrade()
        assert tables() == at_head
        with db.engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            assert compare_metadata(context, db.metadata) == []
        db.engine.dispose()


def test_each_table_has_the_rules_of_its_model_and_no_others(bare: Flask) -> None:
    """Alembic compares no CHECK constraints, and SQLite's copies of tables may lose them, or keep old ones."""
    with bare.app_context():
        upgrade()
        found, wanted = {}, {}
        for table in db.metadata.sorted_tables:
            rules = inspect(db.engine).get_check_constraints(table.name)
            found[table.name] = sorted((str(rule["name"]), _words(rule["sqltext"])) for rule in rules)
            checks = [one for one in table.constraints if isinstance(one, CheckConstraint)]
            wanted[table.name] = sorted((str(one.name), _words(str(one.sqltext))) for one in checks)
        assert found == wanted
        db.session.remove()
        db.engine.dispose()


def _words(rule: str) -> list[str]:
    """Return the names and values of a rule, because PostgreSQL writes the rest differently."""
    rule = re.sub(r"::[\w ]+(\[\])?|\b(ANY|ARRAY|IN|AND|OR|NOT)\b", " ", rule)
    return sorted(re.findall(r"[\w.-]+", rule))


def test_the_newest_migration_can_be_taken_back_by_itself(bare: Flask) -> None:
    with bare.app_context():
        upgrade()
        downgrade(revision="-1")
        upgrade()
        assert tables() == set(db.metadata.tables)
        db.engine.dispose()


def test_withdrawn_prices_with_the_key_of_another_survive_a_downgrade(bare: Flask) -> None:
    with bare.app_context():
        upgrade(revision="0057")
        plan = (
            "INSERT INTO plans (id, key, tier, name, description, features, entitlements, position, hidden,"
            " recommended, withdrawn) VALUES (1, 'pro', 'pro', 'Pro', '', '[]', '{}', 1, false, false, false)"
        )
        price = (
            "INSERT INTO prices (id, plan_id, key, lookup_key, amount, currency, interval, withdrawn,"
            " live_price_id) VALUES"
            " (:id, 1, 'pro-monthly', 'pro_monthly', 4999, 'usd', 'month', :withdrawn, :price)"
        )
        db.session.execute(text(plan))
        for number, withdrawn in ((1, True), (2, True), (3, False)):
            values = {"id": number, "withdrawn": withdrawn, "price": f"price_{number}"}
            db.session.execute(text(price), values)
        db.session.commit()
        downgrade(revision="0056")
        rows = db.session.execute(text("SELECT key, live_price_id FROM prices ORDER BY id")).all()
        assert [tuple(row) for row in rows] == [
            ("pro-monthly-withdrawn-1", "price_1"),
            ("pro-monthly-withdrawn-2", "price_2"),
            ("pro-monthly", "price_3"),
        ]
        db.session.commit()
        upgrade()
        db.session.remove()
        db.engine.dispose()


def test_readyz_says_no_until_the_schema_is_there(bare: Flask) -> None:
    client = bare.test_client()
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 503
    with bare.app_context():
        upgrade()
    assert client.get("/readyz").status_code == 200
    with bare.app_context():
        db.engine.dispose()


@pytest.mark.parametrize("table", ["credit_entries", "audit_entries", "audit_seals", "mrr_movements"])
def test_the_triggers_of_what_only_grows_are_there_at_head(bare: Flask, table: str) -> None:
    with bare.app_context():
        upgrade()
        if db.engine.dialect.name == "sqlite":
            query = f"SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = '{table}'"
            expected = {f"{table}_no_update", f"{table}_no_delete"}
        else:
            query = f"SELECT tgname FROM pg_trigger WHERE tgrelid = '{table}'::regclass AND NOT tgisinternal"
            expected = {f"{table}_no_change", f"{table}_no_truncate"}
        assert set(db.session.execute(text(query)).scalars()) == expected
        db.session.remove()
        db.engine.dispose()


BEFORE_PAYMENTS = """
INSERT INTO users (id, email, name, role, timezone, created_at) VALUES (1, 'a@b.c', 'A', 'customer', 'UTC', :at);
INSERT INTO customers (id, user_id, mode, credit_balance, access_version, created_at)
VALUES (1, 1, 'live', 0, 0, :at);
INSERT INTO purchases (id, number, customer_id, mode, kind, item, name, amount, currency, credits, params, attempt,
    payment_intent, made_account, state, created_at)
VALUES (1, 'PO-1', 1, 'live', 'credits', 'basic', 'Basic', 4500, 'usd', 5500, '{}', 1, 'pi_1', false, 'paid',
    :at);
INSERT INTO payments (id, customer_id, mode, purchase_id, payment_intent, charge_id, amount, currency, credits,
    amount_refunded, status, created_at, synced_at)
VALUES (7, 1, 'live', 1, 'pi_1', 'ch_1', 4500, 'usd', 5500, 900, 'succeeded', :at, :at);
INSERT INTO reversals (id, customer_id, mode, stripe_id, kind, payment_id, amount, status, created_at, synced_at)
VALUES (1, 1, 'live', 're_1', 'refund', 7, 900, 'succeeded', :at, :at),
       (2, 1, 'live', 're_2', 'refund', 7, 100, 'failed', :at, :at),
       (3, 1, 'live', 'dp_1', 'dispute', 7, 4500, 'won', :at, :at);
INSERT INTO invoices (id, customer_id, mode, stripe_id, subscription_id, payment_intent, status, total,
    amount_paid, amount_due, amount_refunded, amount_disputed, currency, created_at, synced_at)
VALUES (1, 1, 'live', 'in_1', 'sub_1', 'pi_2', 'paid', 4999, 4999, 0, 3000, 0, 'usd', :at, :at),
       (2, 1, 'live', 'in_2', NULL, 'pi_3', 'paid', 1200, 1200, 0, 0, 1200, 'usd', :at, :at),
       (3, 1, 'live', 'in_3', 'sub_1', 'pi_4', 'open', 4999, 0, 4999, 0, 0, 'usd', :at, :at);
INSERT INTO monthly_bills (id, customer_id, mode, month, amount, currency, credits_amount, state, attempt,
    invoice_id, created_at)
VALUES (1, 1, 'live', 202611, 1200, 'usd', 0, 'paid', 1, 'in_2', :at);
INSERT INTO sync_tickets (mode, object_id, requested, applied) VALUES ('live', 'ch_2/invoice', 1, 1)
"""
PAYMENTS = """
SELECT stripe_id, kind, invoice_id, amount, amount_refunded, amount_disputed, amount_withdrawn
FROM payments ORDER BY stripe_id"""


def test_payments_of_invoices_move_to_the_table_of_payments_and_back(bare: Flask) -> None:
    with bare.app_context():
        upgrade(revision="0024")
        for statement in BEFORE_PAYMENTS.split(";"):
            db.session.execute(text(statement), {"at": "2026-11-01 12:00:00"})
        db.session.commit()
        upgrade(revision="0025")
        assert [tuple(row) for row in db.session.execute(text(PAYMENTS))] == [
            ("pi_1", "credits", None, 4500, 900, 0, 900),
            ("pi_2", "subscription", "in_1", 4999, 3000, 0, 3000),
            ("pi_3", "usage", "in_2", 1200, 0, 1200, 1200),
        ]
        withdrawn = db.session.execute(text("SELECT withdrawn FROM reversals ORDER BY id")).scalars().all()
        assert withdrawn == [900, 0, 0]
        assert db.session.execute(text("SELECT count(*) FROM sync_tickets")).scalar_one() == 0
        db.session.commit()
        downgrade(revision="0024")
        query = "SELECT payment_intent, amount_refunded, amount_disputed FROM invoices ORDER BY id"
        rows = [tuple(row) for row in db.session.execute(text(query))]
        assert rows == [("pi_2", 3000, 0), ("pi_3", 0, 1200), (None, 0, 0)]
        kept = "SELECT id, payment_intent, credits, amount_refunded FROM payments"
        assert [tuple(row) for row in db.session.execute(text(kept))] == [(7, "pi_1", 5500, 900)]
        assert db.session.execute(text("SELECT count(*) FROM reversals")).scalar_one() == 3
        db.session.commit()
        upgrade()
        db.session.remove()
        db.engine.dispose()
