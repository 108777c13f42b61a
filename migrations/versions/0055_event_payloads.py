"""An index of the events whose payload can be removed

Revision: 0055, after 0054
"""

import sqlalchemy as sa
from alembic import op

revision = "0055"
down_revision = "0054"
branch_labels = None
depends_on = None

WITH_PAYLOAD = sa.text("payload <> '' AND state IN ('processed', 'ignored')")


def upgrade() -> None:
    op.create_index(
        "ix_stripe_events_payload",
        "stripe_events",
        ["received_at"],
        sqlite_where=WITH_PAYLOAD,
        postgresql_where=WITH_PAYLOAD,
    )


def downgrade() -> None:
    op.drop_index("ix_stripe_events_payload", table_name="stripe_events")
