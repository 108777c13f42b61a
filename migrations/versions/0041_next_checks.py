"""When parked events and payments without an order are checked next

Revision: 0041, after 0040
"""

import sqlalchemy as sa
from alembic import op

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None

TO_LOOK = sa.text("next_look_at IS NOT NULL")
TO_TRY = sa.text("next_try_at IS NOT NULL")
MOST_TRIES = 12

# Those that the task would have handled. The others are found when what they name becomes ours.
OURS = """
UPDATE stripe_events SET next_look_at = received_at WHERE state = 'parked' AND (
  EXISTS (SELECT 1 FROM stripe_customers
          WHERE stripe_customers.mode = stripe_events.mode AND stripe_customers.stripe_id = stripe_events.customer_ref)
  OR EXISTS (SELECT 1 FROM orders
             WHERE orders.mode = stripe_events.mode AND orders.session_id = stripe_events.object_id))
"""
WAITING = f"""
UPDATE unplaced_payments SET next_try_at = created_at WHERE tries < {MOST_TRIES} AND NOT EXISTS (
  SELECT 1 FROM orders
  WHERE orders.mode = unplaced_payments.mode AND orders.session_id = unplaced_payments.session_id)
"""


def upgrade() -> None:
    op.add_column("stripe_events", sa.Column("next_look_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_stripe_events_to_look", "stripe_events", ["next_look_at"], sqlite_where=TO_LOOK, postgresql_where=TO_LOOK
    )
    op.execute(OURS)
    op.add_column("unplaced_payments", sa.Column("next_try_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_unplaced_payments_to_try",
        "unplaced_payments",
        ["price_id", "next_try_at"],
        sqlite_where=TO_TRY,
        postgresql_where=TO_TRY,
    )
    op.execute(WAITING)
    op.drop_column("unplaced_payments", "tried_at")


def downgrade() -> None:
    op.add_column("unplaced_payments", sa.Column("tried_at", sa.DateTime(timezone=True), nullable=True))
    op.drop_index("ix_unplaced_payments_to_try", table_name="unplaced_payments")
    op.drop_column("unplaced_payments", "next_try_at")
    op.drop_index("ix_stripe_events_to_look", table_name="stripe_events")
    op.drop_column("stripe_events", "next_look_at")
