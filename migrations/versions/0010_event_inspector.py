"""What the event inspector finds events by, what it counts, and which event an audit entry came with

Revision: 0010, after 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

BY_AN_EVENT = sa.text("event_id IS NOT NULL")
INDEXES = {
    "ix_stripe_events_mode_id": ["mode", "id"],
    "ix_stripe_events_type_id": ["type", "id"],
    "ix_stripe_events_received_at": ["received_at"],
    "ix_stripe_events_object_id": ["object_id"],
}


def upgrade() -> None:
    # Not in batch mode: SQLite would copy the tables, and the audit log's triggers be lost.
    op.add_column("stripe_events", sa.Column("failures", sa.Integer(), server_default="0", nullable=False))
    op.add_column("stripe_events", sa.Column("duplicates", sa.Integer(), server_default="0", nullable=False))
    for name, columns in INDEXES.items():
        op.create_index(name, "stripe_events", columns)
    op.add_column("audit_entries", sa.Column("event_id", sa.String(length=255), nullable=True))
    op.create_index(
        "ix_audit_entries_event",
        "audit_entries",
        ["event_id"],
        sqlite_where=BY_AN_EVENT,
        postgresql_where=BY_AN_EVENT,
    )


def downgrade() -> None:
    op.drop_index("ix_audit_entries_event", "audit_entries")
    op.drop_column("audit_entries", "event_id")
    for name in INDEXES:
        op.drop_index(name, "stripe_events")
    op.drop_column("stripe_events", "duplicates")
    op.drop_column("stripe_events", "failures")
