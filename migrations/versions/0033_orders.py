"""Orders and refund requests take the names that the code and the pages use

Revision: 0033, after 0032

Tables, columns, indexes, constraints and sequences are renamed in place: no row is written or copied, and the
triggers that keep the ledger append-only stay.
"""

import re

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

TABLES = {"purchases": "orders", "refund_orders": "refund_requests"}
COLUMN = ("purchase_id", "order_id")
HOLDERS = ("credit_entries", "payments")
WORDS = [("refund_orders", "refund_requests"), ("purchases", "orders"), COLUMN]


def upgrade() -> None:
    for old, new in TABLES.items():
        op.execute(f"ALTER TABLE {old} RENAME TO {new}")
    _rename_columns(*COLUMN)
    _rename_parts([*TABLES.values(), *HOLDERS], WORDS)


def downgrade() -> None:
    for old, new in TABLES.items():
        op.execute(f"ALTER TABLE {new} RENAME TO {old}")
    _rename_columns(COLUMN[1], COLUMN[0])
    _rename_parts([*TABLES, *HOLDERS], [(new, old) for old, new in reversed(WORDS)])


def _rename_columns(old: str, new: str) -> None:
    for table in HOLDERS:
        op.execute(f"ALTER TABLE {table} RENAME COLUMN {old} TO {new}")


def _rename_parts(tables: list[str], words: list[tuple[str, str]]) -> None:
    """Rename what carries the old words in its name."""
    if op.get_bind().dialect.name == "sqlite":
        _on_sqlite(tables, words)
    else:
        _on_postgresql(tables, words)


def _renamed(name: str, words: list[tuple[str, str]]) -> str:
    for old, new in words:
        name = re.sub(rf"(?<!refund_){old}", new, name)  # refund_orders is no orders
    return name


def _on_postgresql(tables: list[str], words: list[tuple[str, str]]) -> None:
    inspector = sa.text(
        "SELECT conrelid::regclass::text, conname FROM pg_constraint WHERE conrelid::regclass::text = ANY(:tables)"
    )
    for table, name in op.get_bind().execute(inspector, {"tables": tables}).all():
        if _renamed(name, words) != name:  # an index that belongs to a constraint takes its name along
            op.execute(f"ALTER TABLE {table} RENAME CONSTRAINT {name} TO {_renamed(name, words)}")
    indexes = sa.text(
        "SELECT indexname FROM pg_indexes WHERE schemaname = current_schema AND tablename = ANY(:tables)"
    )
    for name in op.get_bind().execute(indexes, {"tables": tables}).scalars().all():
        if _renamed(name, words) != name:
            op.execute(f"ALTER INDEX {name} RENAME TO {_renamed(name, words)}")
    for table in tables:
        sequence = (
            op.get_bind()
            .execute(sa.text("SELECT pg_get_serial_sequence(:table, 'id')"), {"table": table})
            .scalar_one()
        )
        name = (sequence or "").rpartition(".")[2]
        if name and _renamed(name, words) != name:
            op.execute(f"ALTER SEQUENCE {name} RENAME TO {_renamed(name, words)}")


def _on_sqlite(tables: list[str], words: list[tuple[str, str]]) -> None:
    """Make the indexes again, and write the constraints' new names into the schema's text.

    SQLite has no statement for the latter. Where only the text of constraints changes, its documentation
    names this way: https://www.sqlite.org/lang_altertable.html#otheralter
    """
    connection = op.get_bind()
    indexes = sa.text("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
    for name, sql in connection.execute(indexes).all():
        if _renamed(name, words) != name:
            op.execute(f'DROP INDEX "{name}"')
            op.execute(_renamed(sql, words))
    version = connection.execute(sa.text("PRAGMA schema_version")).scalar_one()
    op.execute("PRAGMA writable_schema = ON")
    for table in tables:
        sql = connection.execute(
            sa.text("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = :name"), {"name": table}
        ).scalar_one()
        change = sa.text("UPDATE sqlite_master SET sql = :sql WHERE type = 'table' AND name = :name")
        connection.execute(change, {"sql": _renamed(sql, words), "name": table})
    op.execute(f"PRAGMA schema_version = {version + 1}")
    op.execute("PRAGMA writable_schema = OFF")
