"""What was refunded of an invoice

Revision: 0018, after 0017
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("invoices", sa.Column("amount_refunded", sa.BigInteger(), server_default="0", nullable=False))


def downgrade() -> None:
    op.drop_column("invoices", "amount_refunded")
