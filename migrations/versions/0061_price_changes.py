"""Changes of a subscription's price, after a notice

Revision: 0061, after 0060
"""

import sqlalchemy as sa
from alembic import op

revision = "0061"
down_revision = "0060"
branch_labels = None
depends_on = None

NOTICED = sa.text("state = 'noticed'")
BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "price_changes",
        sa.Column("id", BIG, nullable=False),
        sa.Column("subscription_id", BIG, nullable=False),
        sa.Column("from_price", sa.String(255), nullable=False),
        sa.Column("to_price", sa.String(255), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("notice_until", TIME, nullable=False),
        sa.Column("tried_at", TIME, nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("finished_at", TIME, nullable=True),
        sa.CheckConstraint("state IN ('noticed', 'done', 'dropped')", name=op.f("ck_price_changes_state")),
        sa.ForeignKeyConstraint(
            ["subscription_id"], ["subscriptions.id"], name=op.f("fk_price_changes_subscription_id_subscriptions")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_price_changes")),
    )
    op.create_index(
        "uq_price_changes_noticed",
        "price_changes",
        ["subscription_id"],
        unique=True,
        sqlite_where=NOTICED,
        postgresql_where=NOTICED,
    )
    op.create_index(
        "ix_price_changes_due",
        "price_changes",
        ["notice_until"],
        sqlite_where=NOTICED,
        postgresql_where=NOTICED,
    )
    op.create_index(op.f("ix_price_changes_subscription_id_id"), "price_changes", ["subscription_id", "id"])


def downgrade() -> None:
    op.drop_table("price_changes")
