"""Changes of the mail address, and accounts that are deleted

Revision: 0008, after 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

PURPOSES = "purpose IN ('verify', 'reset', 'claim', 'email_old', 'email_new')"
FORMER_PURPOSES = "purpose IN ('verify', 'reset', 'claim')"


def upgrade() -> None:
    op.create_table(
        "email_changes",
        sa.Column("user_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("new_email", sa.String(length=254), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_email_changes_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_email_changes")),
    )
    op.add_column("outbox_mails", sa.Column("to", sa.String(length=254), nullable=True))
    op.add_column("stripe_customers", sa.Column("new_email", sa.String(length=254), nullable=True))
    op.add_column("users", sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True))
    _only(PURPOSES)


def downgrade() -> None:
    op.execute("DELETE FROM mail_tokens WHERE purpose IN ('email_old', 'email_new')")
    _only(FORMER_PURPOSES)
    op.drop_column("users", "deleted_at")
    op.drop_column("stripe_customers", "new_email")
    op.drop_column("outbox_mails", "to")
    op.drop_table("email_changes")


def _only(purposes: str) -> None:
    """Keep the column to these words. SQLite copies the table, and leaves the former constraint behind by itself."""
    with op.batch_alter_table("mail_tokens", schema=None) as batch_op:
        if op.get_context().dialect.name != "sqlite":
            batch_op.drop_constraint(op.f("ck_mail_tokens_purpose"), type_="check")
        batch_op.create_check_constraint(op.f("ck_mail_tokens_purpose"), purposes)
