"""Alerts to operators, from their begin to their end, and an index of cancellations

Revision: 0060, after 0059
"""

import sqlalchemy as sa
from alembic import op

revision = "0060"
down_revision = "0059"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)
GOING_ON = sa.text("ended_at IS NULL")
CANCELED = sa.text("canceled_at IS NOT NULL")
TO_TELL = sa.text("next_try_at IS NOT NULL")


def upgrade() -> None:
    op.create_table(
        "operator_alerts",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("host", sa.String(length=100), nullable=False),
        sa.Column("words", sa.String(length=255), nullable=False),
        sa.Column("began_at", TIME, nullable=False),
        sa.Column("ended_at", TIME, nullable=True),
        sa.Column("told", sa.JSON(), nullable=False),
        sa.Column("next_try_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_operator_alerts")),
    )
    op.create_index(
        "uq_operator_alerts_going_on",
        "operator_alerts",
        ["name", "host"],
        unique=True,
        sqlite_where=GOING_ON,
        postgresql_where=GOING_ON,
    )
    op.create_index(
        "ix_operator_alerts_to_tell",
        "operator_alerts",
        ["next_try_at"],
        sqlite_where=TO_TELL,
        postgresql_where=TO_TELL,
    )
    op.create_index(
        "ix_subscriptions_canceled",
        "subscriptions",
        ["mode", "canceled_at"],
        sqlite_where=CANCELED,
        postgresql_where=CANCELED,
    )


def downgrade() -> None:
    op.drop_index("ix_subscriptions_canceled", table_name="subscriptions")
    op.drop_table("operator_alerts")
