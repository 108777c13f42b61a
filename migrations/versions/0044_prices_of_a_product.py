"""Plans that every price of their product gives, and subscriptions whose price gives none

Revision: 0044, after 0043
"""

import sqlalchemy as sa
from alembic import op

revision = "0044"
down_revision = "0043"
branch_labels = None
depends_on = None

KEPT = sa.text("tier_kept")


def upgrade() -> None:
    op.add_column("plans", sa.Column("also", sa.String(10)))
    op.add_column("subscriptions", sa.Column("tier_kept", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_index("ix_subscriptions_tier_kept", "subscriptions", ["id"], sqlite_where=KEPT, postgresql_where=KEPT)


def downgrade() -> None:
    op.drop_index("ix_subscriptions_tier_kept", table_name="subscriptions")
    op.drop_column("subscriptions", "tier_kept")
    op.drop_column("plans", "also")
