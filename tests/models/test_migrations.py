"""The schema: up, down and up again on both databases, and no drift from the models."""

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask import Flask
from flask_migrate import downgrade, upgrade
from sqlalchemy import inspect, text

from portal import create_app
from portal import settings as settings_module
from portal.extensions import db
from tests.conftest import worker
from tests.support.world import environ, fresh_database


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


def test_the_newest_migration_can_be_taken_back_by_itself(bare: Flask) -> None:
    with bare.app_context():
        upgrade()
        downgrade(revision="-1")
        upgrade()
        assert tables() == set(db.metadata.tables)
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


@pytest.mark.parametrize("table", ["credit_entries", "audit_entries", "audit_seals"])
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
