"""Indexes of the open changes and refunds that scheduled tasks ask for

Revision: 0036, after 0035
"""

from alembic import op

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_subscription_changes_state_called_at", "subscription_changes", ["state", "called_at"])
    op.create_index("ix_refund_requests_state_created_at", "refund_requests", ["state", "created_at"])


def downgrade() -> None:
    op.drop_index("ix_refund_requests_state_created_at", "refund_requests")
    op.drop_index("ix_subscription_changes_state_called_at", "subscription_changes")
