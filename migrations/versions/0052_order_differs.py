"""Note what a paid session differs in from its order."""

import sqlalchemy as sa
from alembic import op

revision = "0052"
down_revision = "0051"
branch_labels = None
depends_on = None

DIFFERING = sa.text("differs IS NOT NULL")


def upgrade() -> None:
    op.add_column("orders", sa.Column("differs", sa.String(255)))
    op.create_index("ix_orders_differing", "orders", ["id"], sqlite_where=DIFFERING, postgresql_where=DIFFERING)


def downgrade() -> None:
    op.drop_index("ix_orders_differing", "orders")
    op.drop_column("orders", "differs")
