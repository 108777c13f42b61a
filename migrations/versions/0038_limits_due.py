"""A mark on spend limits whose customer reported usage since they were checked

Revision: 0038, after 0037
"""

import sqlalchemy as sa
from alembic import op

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None

DUE = sa.text("limit_due")


def upgrade() -> None:
    op.add_column("usage_settings", sa.Column("limit_due", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_index("ix_usage_settings_due", "usage_settings", ["customer_id"], sqlite_where=DUE, postgresql_where=DUE)
    op.execute("UPDATE usage_settings SET limit_due = true WHERE limit_amount IS NOT NULL")


def downgrade() -> None:
    op.drop_index("ix_usage_settings_due", table_name="usage_settings")
    op.drop_column("usage_settings", "limit_due")
