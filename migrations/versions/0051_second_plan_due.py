"""A mark on orders of plans whose address is to be looked at for a second plan

Revision: 0051, after 0050
"""

import sqlalchemy as sa
from alembic import op

revision = "0051"
down_revision = "0050"
branch_labels = None
depends_on = None

DUE = sa.text("second_plan_due")


def upgrade() -> None:
    op.add_column("orders", sa.Column("second_plan_due", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_index("ix_orders_second_plan_due", "orders", ["id"], sqlite_where=DUE, postgresql_where=DUE)


def downgrade() -> None:
    op.drop_index("ix_orders_second_plan_due", table_name="orders")
    op.drop_column("orders", "second_plan_due")
