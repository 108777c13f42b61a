"""Invoices of paid orders

Revision: 0050, after 0049
"""

import sqlalchemy as sa
from alembic import op

revision = "0050"
down_revision = "0049"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)
DUE = sa.text("state = 'open'")


def upgrade() -> None:
    op.create_table(
        "order_invoices",
        sa.Column("id", BIG, nullable=False),
        sa.Column("mode", sa.String(4), nullable=False),
        sa.Column("customer_id", BIG, nullable=False),
        sa.Column("order_id", BIG, nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("params", sa.JSON(), nullable=False),
        sa.Column("invoice_id", sa.String(255)),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("next_at", TIME, nullable=False),
        sa.Column("error", sa.String(100)),
        sa.Column("created_at", TIME, nullable=False),
        sa.CheckConstraint("mode IN ('live', 'test')", name=op.f("ck_order_invoices_mode")),
        sa.CheckConstraint("state IN ('open', 'done', 'failed')", name=op.f("ck_order_invoices_state")),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name="fk_order_invoices_customer_id_customers"),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name="fk_order_invoices_order_id_orders"),
        sa.PrimaryKeyConstraint("id", name="pk_order_invoices"),
        sa.UniqueConstraint("order_id", name="uq_order_invoices_order_id"),
    )
    op.create_index("ix_order_invoices_customer_id", "order_invoices", ["customer_id"])
    op.create_index("ix_order_invoices_due", "order_invoices", ["next_at"], sqlite_where=DUE, postgresql_where=DUE)
    op.add_column("payments", sa.Column("document_url", sa.Text()))


def downgrade() -> None:
    op.drop_column("payments", "document_url")
    op.drop_table("order_invoices")
