"""An index of the unclaimed users that an account took over

Revision: 0031, after 0030
"""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

TAKEN_OVER = sa.text("taken_over_by IS NOT NULL")


def upgrade() -> None:
    where = {"sqlite_where": TAKEN_OVER, "postgresql_where": TAKEN_OVER}
    op.create_index("ix_users_taken_over_by", "users", ["taken_over_by"], **where)


def downgrade() -> None:
    op.drop_index("ix_users_taken_over_by", table_name="users")
