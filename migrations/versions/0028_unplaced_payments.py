"""Payments that no order is behind, and mails to people without an account

Revision: 0028, after 0027
"""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "unplaced_payments",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("mode", sa.String(length=4), nullable=False),
        sa.Column("session_id", sa.String(length=255), nullable=False),
        sa.Column("price_id", sa.String(length=255), nullable=True),
        sa.Column("tier", sa.String(length=64), nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("mode IN ('live', 'test')", name=op.f("ck_unplaced_payments_mode")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_unplaced_payments")),
        sa.UniqueConstraint("mode", "session_id", name=op.f("uq_unplaced_payments_mode_session_id")),
    )
    with op.batch_alter_table("outbox_mails") as batch:
        batch.alter_column("user_id", existing_type=BIG_ID, nullable=True)


def downgrade() -> None:
    op.execute("DELETE FROM outbox_mails WHERE user_id IS NULL")
    with op.batch_alter_table("outbox_mails") as batch:
        batch.alter_column("user_id", existing_type=BIG_ID, nullable=False)
    op.drop_table("unplaced_payments")
