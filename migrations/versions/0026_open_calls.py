"""Calls to Stripe whose effect is not known, and the states that follow from one

Revision: 0026, after 0025
"""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
OPEN = sa.text("settled_at IS NULL")
STATES = {  # table → its states before and after
    "purchases": ("'open', 'paid', 'failed', 'expired'", "'open', 'paid', 'failed', 'expired', 'unclear'"),
    "refund_orders": ("'open', 'done', 'failed'", "'open', 'done', 'failed', 'unclear'"),
    "subscription_changes": ("'open', 'done', 'failed'", "'open', 'paying', 'done', 'failed', 'unclear'"),
    "monthly_bills": (
        "'claimed', 'failed', 'invoiced', 'paid', 'unpaid', 'void', 'nothing'",
        "'claimed', 'failed', 'invoiced', 'paid', 'unpaid', 'void', 'nothing', 'unclear'",
    ),
}
INDEXES = {  # one at a time: the index, its table, its columns, its states before and after
    "uq_refund_orders_open": ("refund_orders", ["payment_intent"], "'open'", "'open', 'unclear'"),
    "uq_subscription_changes_one_open": (
        "subscription_changes",
        ["mode", "subscription_id"],
        "'open'",
        "'open', 'paying'",
    ),
}


def upgrade() -> None:
    op.create_table(
        "open_calls",
        sa.Column("id", ID, nullable=False),
        sa.Column("mode", sa.String(length=4), nullable=False),
        sa.Column("customer_id", ID, nullable=True),
        sa.Column("claim", sa.String(length=40), nullable=False),
        sa.Column("claim_id", ID, nullable=False),
        sa.Column("step", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.String(length=20), nullable=True),
        sa.Column("named", sa.String(length=255), nullable=False),
        sa.Column("called_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("unclear_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name=op.f("fk_open_calls_customer_id_customers")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_open_calls")),
    )
    where = {"sqlite_where": OPEN, "postgresql_where": OPEN}
    op.create_index("uq_open_calls_open", "open_calls", ["claim", "claim_id", "step"], unique=True, **where)
    op.create_index("ix_open_calls_customer", "open_calls", ["customer_id"], **where)
    _set_states(1)


def downgrade() -> None:
    for table in STATES:
        known = "failed" if table != "subscription_changes" else "done"
        op.execute(f"UPDATE {table} SET state = '{known}' WHERE state IN ('unclear', 'paying')")  # noqa: S608
    _set_states(0)
    op.drop_table("open_calls")


def _set_states(side: int) -> None:
    for name, (table, columns, *states) in INDEXES.items():
        where = sa.text(f"state IN ({states[side]})" if side else f"state = {states[side]}")
        op.drop_index(name, table_name=table)
        op.create_index(name, table, columns, unique=True, sqlite_where=where, postgresql_where=where)
    if op.get_context().dialect.name == "postgresql":
        for table, states in STATES.items():
            op.drop_constraint(op.f(f"ck_{table}_state"), table, type_="check")
            if table == "refund_orders":
                op.alter_column(table, "state", type_=sa.String(length=10 if side else 6))
            op.create_check_constraint(op.f(f"ck_{table}_state"), table, f"state IN ({states[side]})")
        return
    _rewrite(side)


def _rewrite(side: int) -> None:
    """Change the checks in SQLite's schema itself: a copy of a table that others refer to would orphan them.

    https://www.sqlite.org/lang_altertable.html, "Making Other Kinds Of Table Schema Changes"
    """
    version = op.get_bind().exec_driver_sql("PRAGMA schema_version").scalar_one()
    op.execute("PRAGMA writable_schema = ON")
    change = sa.text("UPDATE sqlite_master SET sql = replace(sql, :old, :new) WHERE type = 'table' AND name = :table")
    for table, states in STATES.items():
        old, new = (f"state IN ({words})" for words in (states[1 - side], states[side]))
        op.get_bind().execute(change, {"old": old, "new": new, "table": table})
    widths = ("state VARCHAR(10)", "state VARCHAR(6)")
    op.get_bind().execute(
        change, {"old": widths[side], "new": widths[1 - side], "table": "refund_orders"}
    )
    op.execute(f"PRAGMA schema_version = {version + 1}")
    op.execute("PRAGMA writable_schema = OFF")
