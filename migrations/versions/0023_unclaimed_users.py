"""Unclaimed users: an address is unique among those with a password only

Revision: 0023, after 0022
"""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
CLAIMED = sa.text("password_hash IS NOT NULL")
# The account of an address keeps it, else the first of those who wait for it.
RENAME = """
UPDATE users SET email = 'unclaimed-' || id || '@invalid'
WHERE password_hash IS NULL AND EXISTS (
  SELECT 1 FROM users other WHERE other.email = users.email AND other.id <> users.id
  AND (other.password_hash IS NOT NULL OR other.id < users.id))
"""


def upgrade() -> None:
    with op.batch_alter_table("users") as batch_op:
        batch_op.drop_constraint("uq_users_email", type_="unique")
        batch_op.add_column(sa.Column("begun_anew_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("taken_over_by", BIG, nullable=True))
        batch_op.add_column(sa.Column("disowned_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.create_foreign_key(op.f("fk_users_taken_over_by_users"), "users", ["taken_over_by"], ["id"])
    op.create_index("uq_users_email", "users", ["email"], unique=True, sqlite_where=CLAIMED, postgresql_where=CLAIMED)
    op.create_index(op.f("ix_users_email"), "users", ["email"])


def downgrade() -> None:
    op.execute(RENAME)
    op.drop_index(op.f("ix_users_email"), table_name="users")
    op.drop_index("uq_users_email", table_name="users")
    with op.batch_alter_table("users") as batch_op:
        batch_op.drop_constraint(op.f("fk_users_taken_over_by_users"), type_="foreignkey")
        batch_op.drop_column("disowned_at")
        batch_op.drop_column("taken_over_by")
        batch_op.drop_column("begun_anew_at")
        batch_op.create_unique_constraint("uq_users_email", ["email"])
    if op.get_bind().dialect.name == "sqlite":
        # Building the table anew made a constraint of the table of it, and 0016 drops the column only without.
        with op.batch_alter_table("users") as batch_op:
            batch_op.drop_constraint(op.f("ck_users_role"), type_="check")
