"""Operator keys, and who acts by one in the audit log

Revision: 0022, after 0021
"""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

ACTOR = "ck_audit_entries_actor"
ACTORS = "actor IN ('user', 'key', 'operator', 'stripe', 'command', 'clock')"
TRIGGERS = (  # SQLite's copy of the table has none
    """CREATE TRIGGER audit_entries_no_update BEFORE UPDATE ON audit_entries
    BEGIN SELECT RAISE(ABORT, 'audit_entries is append-only'); END""",
    """CREATE TRIGGER audit_entries_no_delete BEFORE DELETE ON audit_entries
    BEGIN SELECT RAISE(ABORT, 'audit_entries is append-only'); END""",
)


def upgrade() -> None:
    op.create_table(
        "operator_keys",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("prefix", sa.String(length=24), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_operator_keys")),
        sa.UniqueConstraint("hash", name=op.f("uq_operator_keys_hash")),
    )
    if op.get_context().dialect.name == "postgresql":
        op.drop_constraint(op.f(ACTOR), "audit_entries", type_="check")
        op.alter_column("audit_entries", "actor", type_=sa.String(length=10))
        op.create_check_constraint(op.f(ACTOR), "audit_entries", ACTORS)
        return
    with op.batch_alter_table("audit_entries", recreate="always") as batch_op:
        batch_op.drop_constraint(op.f(ACTOR), type_="check")
        batch_op.create_check_constraint(op.f(ACTOR), ACTORS)
        batch_op.alter_column("actor", type_=sa.String(length=10))
    for statement in TRIGGERS:
        op.execute(statement)


def downgrade() -> None:
    # The audit log keeps the wider rule: what operators' services did stays written.
    op.drop_table("operator_keys")
