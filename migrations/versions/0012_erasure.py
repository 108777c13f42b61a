"""When the last of a deleted account was forgotten

Revision: 0012, after 0011
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

LEAVING = sa.text("deleted_at IS NOT NULL AND erased_at IS NULL")
TO_TELL = sa.text("new_email IS NOT NULL")


def upgrade() -> None:
    op.add_column("users", sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True))
    # Each minute's chores look for these few among many.
    op.create_index("ix_users_leaving", "users", ["deleted_at"], sqlite_where=LEAVING, postgresql_where=LEAVING)
    op.create_index("ix_stripe_customers_to_tell", "stripe_customers", ["id"], sqlite_where=TO_TELL, postgresql_where=TO_TELL)


def downgrade() -> None:
    op.drop_index("ix_stripe_customers_to_tell", table_name="stripe_customers")
    op.drop_index("ix_users_leaving", table_name="users")
    op.drop_column("users", "erased_at")
