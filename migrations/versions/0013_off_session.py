"""Orders without a checkout: they stand in the way of none

Revision: 0013, after 0012
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

INDEX = "uq_purchases_one_open_plan"
BEFORE = "kind = 'plan' AND state = 'open' AND payment_link IS NULL"
AFTER = f"{BEFORE} AND NOT off_session"


def index(condition: str) -> None:
    where = sa.text(condition)
    op.create_index(INDEX, "purchases", ["customer_id"], unique=True, sqlite_where=where, postgresql_where=where)


def upgrade() -> None:
    # Not in batch mode: SQLite would copy the table, and lose its check constraints.
    op.add_column("purchases", sa.Column("off_session", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.execute("UPDATE purchases SET off_session = auto")
    op.drop_index(INDEX, "purchases")
    index(AFTER)


def downgrade() -> None:
    op.drop_index(INDEX, "purchases")
    index(BEFORE)
    op.drop_column("purchases", "off_session")
