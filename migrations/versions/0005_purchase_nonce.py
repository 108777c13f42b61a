"""A purchase's nonce: a form that is sent twice makes one order

Revision: 0005, after 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("purchases", sa.Column("nonce", sa.String(length=255), nullable=True))
    op.create_index("uq_purchases_nonce", "purchases", ["customer_id", "nonce"], unique=True)


def downgrade() -> None:
    op.drop_index("uq_purchases_nonce", table_name="purchases")
    op.drop_column("purchases", "nonce")
