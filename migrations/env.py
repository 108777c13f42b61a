"""How Alembic runs the migrations: on the app's own engine, SQLite in batch mode."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from alembic import context
from flask import current_app
from sqlalchemy import Connection

db = current_app.extensions["migrate"].db


def render_item(kind: str, item: Any, autogen_context: Any) -> str | bool:
    """Write our column types as SQLAlchemy's own, so that old migrations never depend on today's models."""
    if kind == "type" and type(item).__name__ == "UTCDateTime":
        return "sa.DateTime(timezone=True)"
    if kind == "type" and type(item).__name__ == "ExactDecimal":
        return "sa.String(length=40)"
    return False


def skip_empty(_context: Any, _revision: Any, directives: list[Any]) -> None:
    """`flask db migrate` with nothing to do makes no file."""
    if getattr(context.config.cmd_opts, "autogenerate", False) and directives[0].upgrade_ops.is_empty():
        directives[:] = []


def run_offline() -> None:
    """Print the SQL instead of running it: `flask db upgrade --sql`."""
    url = db.engine.url.render_as_string(hide_password=False)
    context.configure(url=url, target_metadata=db.metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()


@contextmanager
def foreign_keys_off(connection: Connection) -> Iterator[None]:
    """Let SQLite build a table anew without deleting the rows that point to it.

    It checks foreign keys, and follows ON DELETE CASCADE, when the old table is dropped, and the setting cannot
    be changed inside a transaction. They are all checked before the commit instead.
    """
    if connection.dialect.name != "sqlite":
        yield
        return
    driver = connection.connection.driver_connection
    driver.execute("PRAGMA foreign_keys=OFF")
    try:
        yield
    finally:
        driver.execute("PRAGMA foreign_keys=ON")


def check_foreign_keys(connection: Connection) -> None:
    """Raise where a migration on SQLite left a row that points to none."""
    if connection.dialect.name != "sqlite":
        return
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
    if broken is not None:
        raise RuntimeError(f"a row of {broken[0]} points to a row of {broken[2]} that is not there")


def run_online() -> None:
    """Run in one transaction."""
    with db.engine.connect() as connection, foreign_keys_off(connection):
        context.configure(
            connection=connection,
            target_metadata=db.metadata,
            render_as_batch=connection.dialect.name == "sqlite",
            render_item=render_item,
            compare_type=True,
            process_revision_directives=skip_empty,
            transactional_ddl=True,  # SQLite's too: our engine begins its transactions itself
        )
        with context.begin_transaction():
            context.run_migrations()
            check_foreign_keys(connection)


if context.is_offline_mode():
    run_offline()
else:
    run_online()
