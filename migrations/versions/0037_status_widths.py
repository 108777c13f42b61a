"""Room for longer words of Stripe's: the status of invoices and subscriptions

Revision: 0037, after 0036
"""

import sqlalchemy as sa
from alembic import op

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None

WIDTHS = {"invoices": 20, "subscriptions": 30}


def upgrade() -> None:
    for table, width in WIDTHS.items():
        with op.batch_alter_table(table) as batch:
            batch.alter_column("status", existing_type=sa.String(width), type_=sa.String(40), existing_nullable=False)


def downgrade() -> None:
    for table, width in WIDTHS.items():
        with op.batch_alter_table(table) as batch:
            batch.alter_column("status", existing_type=sa.String(40), type_=sa.String(width), existing_nullable=False)
