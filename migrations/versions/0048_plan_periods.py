"""Periods of plans with what they were sold with, the credits given for them, and included units

Revision: 0048, after 0047
"""

import sqlalchemy as sa
from alembic import op

revision = "0048"
down_revision = "0047"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)
TO_TELL = sa.text("remaining <= warn_at")
DUE = sa.text("next_at IS NOT NULL")
# Periods that began before include nothing: they were sold without it.
RUNNING = """
INSERT INTO plan_periods (customer_id, mode, subscription_id, price_id, tier, is_trial, starts_at, ends_at, anchor_at,
    from_at, credits, rollover, included, created_at)
SELECT customer_id, mode, stripe_id, price_id, tier, status = 'trialing', started_at, current_period_end, started_at,
    started_at, 0, 0, {nothing}, synced_at
FROM subscriptions
WHERE ended_at IS NULL AND tier IS NOT NULL AND current_period_end IS NOT NULL
    AND status IN ('active', 'trialing', 'past_due')
"""


def upgrade() -> None:
    op.create_table(
        "plan_periods",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("customer_id", BIG_ID, nullable=False),
        sa.Column("mode", sa.String(length=4), nullable=False),
        sa.Column("subscription_id", sa.String(length=255), nullable=False),
        sa.Column("price_id", sa.String(length=255), nullable=False),
        sa.Column("tier", sa.String(length=64), nullable=False),
        sa.Column("is_trial", sa.Boolean(), nullable=False),
        sa.Column("starts_at", TIME, nullable=False),
        sa.Column("ends_at", TIME, nullable=False),
        sa.Column("anchor_at", TIME, nullable=False),
        sa.Column("from_at", TIME, nullable=False),
        sa.Column("ended_at", TIME, nullable=True),
        sa.Column("credits", sa.BigInteger(), nullable=False),
        sa.Column("rollover", sa.Integer(), nullable=False),
        sa.Column("included", sa.JSON(), nullable=False),
        sa.Column("invoice_id", sa.String(length=255), nullable=True),
        sa.Column("paid_at", TIME, nullable=True),
        sa.Column("next_at", TIME, nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.CheckConstraint("mode IN ('live', 'test')", name=op.f("ck_plan_periods_mode")),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name=op.f("fk_plan_periods_customer_id_customers")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_plan_periods")),
        sa.UniqueConstraint(
            "mode",
            "subscription_id",
            "ends_at",
            "price_id",
            name=op.f("uq_plan_periods_mode_subscription_id_ends_at_price_id"),
        ),
    )
    op.create_index(op.f("ix_plan_periods_customer_id_ends_at"), "plan_periods", ["customer_id", "ends_at"])
    op.create_index(op.f("ix_plan_periods_mode_invoice_id"), "plan_periods", ["mode", "invoice_id"])
    op.create_index("ix_plan_periods_due", "plan_periods", ["next_at"], sqlite_where=DUE, postgresql_where=DUE)
    op.create_table(
        "period_credits",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("customer_id", BIG_ID, nullable=False),
        sa.Column("period_id", BIG_ID, nullable=False),
        sa.Column("starts_at", TIME, nullable=False),
        sa.Column("ends_at", TIME, nullable=False),
        sa.Column("from_at", TIME, nullable=False),
        sa.Column("until_at", TIME, nullable=False),
        sa.Column("level", sa.BigInteger(), nullable=False),
        sa.Column("credits", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("grant_id", BIG_ID, nullable=True),
        sa.Column("withheld", sa.BigInteger(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name=op.f("fk_period_credits_customer_id_customers")
        ),
        sa.ForeignKeyConstraint(
            ["period_id"], ["plan_periods.id"], name=op.f("fk_period_credits_period_id_plan_periods")
        ),
        sa.ForeignKeyConstraint(
            ["grant_id"], ["credit_grants.id"], name=op.f("fk_period_credits_grant_id_credit_grants")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_period_credits")),
        sa.UniqueConstraint("period_id", "starts_at", name=op.f("uq_period_credits_period_id_starts_at")),
        sa.UniqueConstraint("grant_id", name=op.f("uq_period_credits_grant_id")),
    )
    op.create_index(op.f("ix_period_credits_customer_id_until_at"), "period_credits", ["customer_id", "until_at"])
    op.create_table(
        "included_units",
        sa.Column("customer_id", BIG_ID, autoincrement=False, nullable=False),
        sa.Column("month", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("meter_id", BIG_ID, autoincrement=False, nullable=False),
        sa.Column("units", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name=op.f("fk_included_units_customer_id_customers")
        ),
        sa.ForeignKeyConstraint(["meter_id"], ["meters.id"], name=op.f("fk_included_units_meter_id_meters")),
        sa.PrimaryKeyConstraint("customer_id", "month", "meter_id", name=op.f("pk_included_units")),
    )
    nothing = "CAST('{}' AS json)" if op.get_bind().dialect.name == "postgresql" else "'{}'"
    op.add_column("credit_grants", sa.Column("warn_at", sa.BigInteger(), nullable=True))
    op.create_index(
        "ix_credit_grants_to_tell", "credit_grants", ["id"], sqlite_where=TO_TELL, postgresql_where=TO_TELL
    )
    op.execute(RUNNING.replace("{nothing}", nothing))


def downgrade() -> None:
    op.drop_index("ix_credit_grants_to_tell", table_name="credit_grants")
    op.drop_column("credit_grants", "warn_at")
    op.drop_table("included_units")
    op.drop_table("period_credits")
    op.drop_table("plan_periods")
