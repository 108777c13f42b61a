"""Refunds by admins, seals of the audit log, longer grace, and sums over all credits

Revision: 0016, after 0015
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
OPEN = sa.text("state = 'open'")
GIVEN = sa.text("reason <> 'spend'")


def upgrade() -> None:
    op.create_table(
        "audit_seals",
        sa.Column("id", ID, nullable=False),
        sa.Column("first_id", ID, nullable=False),
        sa.Column("last_id", ID, nullable=False),
        sa.Column("entries", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("sealed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_seals")),
        sa.UniqueConstraint("last_id", name=op.f("uq_audit_seals_last_id")),
    )
    op.create_table(
        "refund_orders",
        sa.Column("id", ID, nullable=False),
        sa.Column("mode", sa.String(length=4), nullable=False),
        sa.Column("customer_id", ID, nullable=False),
        sa.Column("payment_intent", sa.String(length=255), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("nonce", sa.String(length=64), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=6), nullable=False),
        sa.Column("stripe_id", sa.String(length=255), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("mode IN ('live', 'test')", name=op.f("ck_refund_orders_mode")),
        sa.CheckConstraint("state IN ('open', 'done', 'failed')", name=op.f("ck_refund_orders_state")),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name=op.f("fk_refund_orders_customer_id_customers")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refund_orders")),
        sa.UniqueConstraint("nonce", name=op.f("uq_refund_orders_nonce")),
    )
    op.create_index("ix_refund_orders_customer_id", "refund_orders", ["customer_id"])
    op.create_index("ix_refund_orders_payment_intent", "refund_orders", ["payment_intent"])
    op.create_index(
        "uq_refund_orders_open",
        "refund_orders",
        ["payment_intent"],
        unique=True,
        sqlite_where=OPEN,
        postgresql_where=OPEN,
    )
    op.create_index(
        "ix_credit_entries_given",
        "credit_entries",
        ["reason", "customer_id", "amount"],
        sqlite_where=GIVEN,
        postgresql_where=GIVEN,
    )
    op.add_column("customers", sa.Column("grace_until", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    # Not in batch mode: SQLite would copy the table, and lose its check constraints.
    op.drop_column("customers", "grace_until")
    op.drop_index("ix_credit_entries_given", "credit_entries")
    op.drop_table("refund_orders")
    op.drop_table("audit_seals")
