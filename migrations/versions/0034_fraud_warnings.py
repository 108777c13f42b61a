"""Early fraud warnings about payments

Revision: 0034, after 0033
"""

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "fraud_warnings",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("customer_id", BIG_ID, nullable=False),
        sa.Column("mode", sa.String(length=4), nullable=False),
        sa.Column("stripe_id", sa.String(length=255), nullable=False),
        sa.Column("payment_id", BIG_ID, nullable=False),
        sa.Column("fraud_type", sa.String(length=64), nullable=False),
        sa.Column("is_actionable", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("mode IN ('live', 'test')", name=op.f("ck_fraud_warnings_mode")),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name=op.f("fk_fraud_warnings_customer_id_customers")
        ),
        sa.ForeignKeyConstraint(
            ["payment_id"], ["payments.id"], name=op.f("fk_fraud_warnings_payment_id_payments")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fraud_warnings")),
        sa.UniqueConstraint("mode", "stripe_id", name=op.f("uq_fraud_warnings_mode_stripe_id")),
    )
    with op.batch_alter_table("fraud_warnings") as batch:
        batch.create_index(op.f("ix_fraud_warnings_customer_id"), ["customer_id"])
        batch.create_index(op.f("ix_fraud_warnings_payment_id"), ["payment_id"])
        batch.create_index(op.f("ix_fraud_warnings_is_actionable_id"), ["is_actionable", "id"])


def downgrade() -> None:
    op.drop_table("fraud_warnings")
