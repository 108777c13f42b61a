"""What pays an invoice, finding it by its number, and what a bank took back

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
    for table in ("invoices", "payments"):
        op.add_column(table, sa.Column("amount_disputed", sa.BigInteger(), server_default="0", nullable=False))


def downgrade() -> None:
    for table in ("payments", "invoices"):
        op.drop_column(table, "amount_disputed")
    op.drop_index("ix_invoices_number", "invoices")
    op.drop_index("ix_invoices_payment_intent", "invoices")
    op.drop_column("invoices", "payment_intent")
