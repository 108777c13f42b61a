"""The open invoices of a subscription, along an index

Revision: 0042, after 0041
"""

import sqlalchemy as sa
from alembic import op

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None

WHERE = {"sqlite_where": sa.text("status = 'open'"), "postgresql_where": sa.text("status = 'open'")}


def upgrade() -> None:
    op.drop_index("ix_invoices_open", table_name="invoices")
    op.create_index("ix_invoices_open", "invoices", ["subscription_id"], **WHERE)


def downgrade() -> None:
    op.drop_index("ix_invoices_open", table_name="invoices")
    op.create_index("ix_invoices_open", "invoices", ["id"], **WHERE)
