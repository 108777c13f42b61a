"""How Alembic runs the migrations: on the app's own engine, SQLite in batch mode."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from alembic import context
from flask import current_app
from sqlalchemy import Connection

from portal.importer import sql_views

LOCK = 7_000_003  # the key of this PostgreSQL advisory lock
db = current_app.extensions["migrate"].db


def render_item(kind: str, item: Any, autogen_context: Any) -> str | bool:
    """Write our column types as SQLAlchemy's own, so that old migrations never depend on today's models."""
    if kind == "type" and type(item).__name__ == "UTCDateTime":
        return "sa.DateTime(timezone=True)"
    if kind == "type" and type(item).__name__ == "ExactDecimal":
        return "sa.String(length=40)"
    return False


def skip_empty(_context: Any, _revision: Any, directives: list[Any]) -> None:
    """Create no file if `flask db migrate` finds nothing to do."""
    if getattr(context.config.cmd_opts, "autogenerate", False) and directives[0].upgrade_ops.is_empty():
        directives[:] = []


def run_offline() -> None:
    """Print the SQL instead of running it: `flask db upgrade --sql`."""
    url = db.engine.url.render_as_string(hide_password=False)
    context.configure(url=url, target_metadata=db.metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()


@contextmanager
def one_at_a_time(connection: Connection) -> Iterator[None]:
    """Wait until no other machine migrates, so that `flask db upgrade` may run on all of them at once.

    The lock ends with the transaction. SQLite's transactions wait for each other by themselves.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")
        connection.exec_driver_sql("SET LOCAL lock_timeout TO DEFAULT")
        connection.exec_driver_sql("SET LOCAL statement_timeout TO DEFAULT")
    yield


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
    """Raise if a migration on SQLite left a row with a broken foreign key."""
    if connection.dialect.name != "sqlite":
        return
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
    if broken is not None:
        raise RuntimeError(f"a row of {broken[0]} points to a row of {broken[2]} that is not there")


@contextmanager
def without_views(connection: Connection) -> Iterator[None]:
    """Drop the views of `flask moving views` before migrations, and create them again afterwards.

    SQLite cannot alter a table that a view reads, and PostgreSQL cannot drop a column that one reads. Only the
    newest schema has what the views read, so they stay away after a downgrade.
    """
    dropped = sql_views.drop(connection) if changes_schema() else []
    yield
    if dropped and is_newest(context.get_context().get_current_heads()):
        sql_views.make(connection, dropped)
    elif dropped:
        click.echo(f"Dropped: {', '.join(dropped)}. After an upgrade, `flask moving views` creates them again.")


def changes_schema() -> bool:
    """Return whether this command migrates to another revision than the database has."""
    try:
        goal = context.get_revision_argument()
    except KeyError:  # `flask db current`, `check` or `migrate`
        return False
    heads = context.get_context().get_current_heads()
    return set(heads) != {goal} and set(heads) != set(goal or ())


def is_newest(heads: tuple[str, ...]) -> bool:
    """Return whether these are the newest migrations of this code."""
    return set(heads) == set(context.script.get_heads())


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
        with context.begin_transaction(), one_at_a_time(connection), without_views(connection):
            context.run_migrations()
            check_foreign_keys(connection)


if context.is_offline_mode():
    run_offline()
else:
    run_online()
