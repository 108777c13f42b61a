"""Included units on the lines of bills, and a mark on days whose usage changed since it was checked for emails

Revision: 0049, after 0048
"""

import sqlalchemy as sa
from alembic import op

revision = "0049"
down_revision = "0048"
branch_labels = None
depends_on = None

DUE = sa.text("due")


def upgrade() -> None:
    op.add_column("monthly_bill_lines", sa.Column("included", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("usage_days", sa.Column("due", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_index("ix_usage_days_due", "usage_days", ["customer_id", "month"], sqlite_where=DUE, postgresql_where=DUE)


def downgrade() -> None:
    op.drop_index("ix_usage_days_due", table_name="usage_days")
    op.drop_column("usage_days", "due")
    op.drop_column("monthly_bill_lines", "included")
