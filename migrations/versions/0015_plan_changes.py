"""What customers ask for about their subscriptions, and what is scheduled for one

Revision: 0015, after 0014
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

OPEN = sa.text("state = 'open'")
NEW_COLUMNS = {
    "canceled_at": sa.DateTime(timezone=True),
    "schedule_id": sa.String(length=255),
    "next_price_id": sa.String(length=255),
    "next_tier": sa.String(length=64),
    "next_amount": sa.BigInteger(),
    "next_interval": sa.String(length=5),
    "next_interval_count": sa.Integer(),
    "next_at": sa.DateTime(timezone=True),
    "pending_until": sa.DateTime(timezone=True),
}


def upgrade() -> None:
    op.create_table(
        "subscription_changes",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("customer_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("mode", sa.String(length=4), nullable=False),
        sa.Column("subscription_id", sa.String(length=255), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("params", sa.JSON(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("called_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "kind IN ('cancel', 'resume', 'change', 'schedule', 'unschedule')",
            name=op.f("ck_subscription_changes_kind"),
        ),
        sa.CheckConstraint("mode IN ('live', 'test')", name=op.f("ck_subscription_changes_mode")),
        sa.CheckConstraint("state IN ('open', 'done', 'failed')", name=op.f("ck_subscription_changes_state")),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name=op.f("fk_subscription_changes_customer_id_customers")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscription_changes")),
    )
    op.create_index(op.f("ix_subscription_changes_customer_id_id"), "subscription_changes", ["customer_id", "id"])
    op.create_index(
        "uq_subscription_changes_one_open",
        "subscription_changes",
        ["mode", "subscription_id"],
        unique=True,
        sqlite_where=OPEN,
        postgresql_where=OPEN,
    )
    for name, kind in NEW_COLUMNS.items():
        op.add_column("subscriptions", sa.Column(name, kind, nullable=True))


def downgrade() -> None:
    for name in reversed(NEW_COLUMNS):
        op.drop_column("subscriptions", name)
    op.drop_table("subscription_changes")
