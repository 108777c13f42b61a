"""What pays an invoice; and finding it by its number

Revision: 0020, after 0019
"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("invoices", sa.Column("payment_intent", sa.String(255), nullable=True))
    op.create_index("ix_invoices_payment_intent", "invoices", ["payment_intent"])
    op.create_index("ix_invoices_number", "invoices", ["number"])


def downgrade() -> None:
    op.drop_index("ix_invoices_number", "invoices")
    op.drop_index("ix_invoices_payment_intent", "invoices")
    op.drop_column("invoices", "payment_intent")
