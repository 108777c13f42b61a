"""Plans that were given to customers without a payment

Revision: 0039, after 0038
"""

import sqlalchemy as sa
from alembic import op

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
OPEN = sa.text("ended_at IS NULL")


def upgrade() -> None:
    op.create_table(
        "given_plans",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("customer_id", BIG_ID, nullable=False),
        sa.Column("tier", sa.String(64), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_given_plans_customer_id_customers")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_given_plans")),
    )
    op.create_index(
        "uq_given_plans_open", "given_plans", ["customer_id"], unique=True, sqlite_where=OPEN, postgresql_where=OPEN
    )
    op.create_index("ix_given_plans_due", "given_plans", ["until"], sqlite_where=OPEN, postgresql_where=OPEN)
    op.create_index("ix_given_plans_customer_id_id", "given_plans", ["customer_id", "id"])


def downgrade() -> None:
    op.drop_table("given_plans")
