"""Indexes of the copies that were compared with Stripe longest ago

Revision: 0045, after 0044
"""

import sqlalchemy as sa
from alembic import op

revision = "0045"
down_revision = "0044"
branch_labels = None
depends_on = None

INDEXES = (
    ("ix_subscriptions_synced", "subscriptions", "synced_at", "ended_at IS NULL"),
    ("ix_invoices_synced", "invoices", "synced_at", "status = 'open'"),
    ("ix_orders_expiring", "orders", "session_expires_at", "state = 'open'"),
)


def upgrade() -> None:
    for name, table, column, condition in INDEXES:
        where = sa.text(condition)
        op.create_index(name, table, ["mode", column], sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    for name, table, _column, _condition in INDEXES:
        op.drop_index(name, table_name=table)
