"""Seals stay as they were written, and the audit log is found by whom it is about

Revision: 0019, after 0018
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

ABOUT_A_USER = sa.text("user_id IS NOT NULL")
REFUSE_CHANGES = {
    "sqlite": (
        """CREATE TRIGGER audit_seals_no_update BEFORE UPDATE ON audit_seals
        BEGIN SELECT RAISE(ABORT, 'audit_seals is append-only'); END""",
        """CREATE TRIGGER audit_seals_no_delete BEFORE DELETE ON audit_seals
        BEGIN SELECT RAISE(ABORT, 'audit_seals is append-only'); END""",
    ),
    "postgresql": (  # the function came with the ledger
        """CREATE TRIGGER audit_seals_no_change BEFORE UPDATE OR DELETE ON audit_seals
        FOR EACH ROW EXECUTE FUNCTION refuse_change()""",
        """CREATE TRIGGER audit_seals_no_truncate BEFORE TRUNCATE ON audit_seals
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()""",
    ),
}
DROPS = {
    "sqlite": ("DROP TRIGGER audit_seals_no_update", "DROP TRIGGER audit_seals_no_delete"),
    "postgresql": (
        "DROP TRIGGER audit_seals_no_change ON audit_seals",
        "DROP TRIGGER audit_seals_no_truncate ON audit_seals",
    ),
}


def upgrade() -> None:
    op.create_index("uq_audit_seals_first_id", "audit_seals", ["first_id"], unique=True)
    op.create_index(
        "ix_audit_entries_user",
        "audit_entries",
        ["user_id", "id"],
        sqlite_where=ABOUT_A_USER,
        postgresql_where=ABOUT_A_USER,
    )
    for statement in REFUSE_CHANGES[op.get_context().dialect.name]:
        op.execute(statement)


def downgrade() -> None:
    for statement in DROPS[op.get_context().dialect.name]:
        op.execute(statement)
    op.drop_index("ix_audit_entries_user", "audit_entries")
    op.drop_index("uq_audit_seals_first_id", "audit_seals")
