"""A row for each reason for which a customer is suspended

Revision: 0021, after 0020
"""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
OPEN = sa.text("lifted_at IS NULL")


def upgrade() -> None:
    op.create_table(
        "suspensions",
        sa.Column("id", ID, nullable=False),
        sa.Column("customer_id", ID, nullable=False),
        sa.Column("reason", sa.String(length=20), nullable=False),
        sa.Column("about", sa.String(length=255), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lifted_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "reason IN ('subscription_ended', 'no_payment_method', 'unpaid', 'dispute', 'admin')",
            name=op.f("ck_suspensions_reason"),
        ),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name=op.f("fk_suspensions_customer_id_customers")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_suspensions")),
    )
    op.create_index("ix_suspensions_customer_id_id", "suspensions", ["customer_id", "id"])
    where = {"sqlite_where": OPEN, "postgresql_where": OPEN}
    op.create_index("uq_suspensions_open", "suspensions", ["customer_id", "reason"], unique=True, **where)
    op.create_index("ix_suspensions_open_reason", "suspensions", ["reason", "id"], **where)
    op.execute(
        "INSERT INTO suspensions (customer_id, reason, about, created_at) "
        "SELECT id, coalesce(suspended_for, 'admin'), '', suspended_at FROM customers "
        "WHERE suspended_at IS NOT NULL ORDER BY id"
    )
    op.drop_column("customers", "suspended_for")


def downgrade() -> None:
    op.add_column("customers", sa.Column("suspended_for", sa.String(length=30), nullable=True))
    # One column holds one reason: the newest that the version before knows, else an admin's, which only an admin lifts.
    op.execute(
        "UPDATE customers SET suspended_for = coalesce((SELECT reason FROM suspensions "
        "WHERE customer_id = customers.id AND lifted_at IS NULL AND reason <> 'dispute' "
        "ORDER BY CASE reason WHEN 'admin' THEN 0 ELSE 1 END, id DESC LIMIT 1), 'admin') "
        "WHERE suspended_at IS NOT NULL"
    )
    op.drop_table("suspensions")
