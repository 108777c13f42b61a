"""What the next invoice of a discounted subscription asks for

Revision: 0017, after 0016
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("subscriptions", sa.Column("next_due", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.drop_column("subscriptions", "next_due")
