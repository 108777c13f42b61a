"""How many intervals a purchase's period is: "every 3 months"

Revision: 0009, after 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("purchases", sa.Column("interval_count", sa.Integer(), server_default="1", nullable=False))


def downgrade() -> None:
    op.drop_column("purchases", "interval_count")
