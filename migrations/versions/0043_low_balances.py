"""Marks of what a low balance makes due: a top-up, or a mail

Revision: 0043, after 0042
"""

import sqlalchemy as sa
from alembic import op

revision = "0043"
down_revision = "0042"
branch_labels = None
depends_on = None

TO_TRY = sa.text("next_try_at IS NOT NULL")
MAIL_DUE = sa.text("mail_due")

# The highest threshold that the balance has not fallen below.
LOW_AT = """
UPDATE customers SET low_at = (
  SELECT max(threshold) FROM (
    SELECT customer_id, threshold FROM top_up_rules WHERE enabled AND paused_reason IS NULL
    UNION ALL SELECT customer_id, low_balance_at FROM top_up_rules WHERE low_balance_at IS NOT NULL
  ) AS thresholds
  WHERE thresholds.customer_id = customers.id AND threshold <= customers.credit_balance)
WHERE id IN (SELECT customer_id FROM top_up_rules)
"""
TO_CHECK = """
UPDATE top_up_rules SET next_try_at = updated_at WHERE
  (enabled AND paused_reason IS NULL AND threshold > (SELECT credit_balance FROM customers WHERE id = customer_id))
  OR EXISTS (SELECT 1 FROM orders WHERE orders.customer_id = top_up_rules.customer_id AND auto AND state = 'open')
"""
TO_MAIL = """
UPDATE top_up_rules SET mail_due = true
WHERE low_balance_at > (SELECT credit_balance FROM customers WHERE id = customer_id)
"""


def upgrade() -> None:
    op.add_column("customers", sa.Column("low_at", sa.BigInteger(), nullable=True))
    op.add_column("top_up_rules", sa.Column("next_try_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("top_up_rules", sa.Column("mail_due", sa.Boolean(), server_default=sa.false(), nullable=False))
    for name, column, where in (
        ("ix_top_up_rules_to_try", "next_try_at", TO_TRY),
        ("ix_top_up_rules_mail_due", "customer_id", MAIL_DUE),
    ):
        op.create_index(name, "top_up_rules", [column], sqlite_where=where, postgresql_where=where)
    op.drop_index("ix_top_up_rules_enabled", table_name="top_up_rules")
    for statement in (LOW_AT, TO_CHECK, TO_MAIL):
        op.execute(statement)


def downgrade() -> None:
    op.create_index("ix_top_up_rules_enabled", "top_up_rules", ["enabled"])
    op.drop_index("ix_top_up_rules_mail_due", table_name="top_up_rules")
    op.drop_index("ix_top_up_rules_to_try", table_name="top_up_rules")
    op.drop_column("top_up_rules", "mail_due")
    op.drop_column("top_up_rules", "next_try_at")
    op.drop_column("customers", "low_at")
