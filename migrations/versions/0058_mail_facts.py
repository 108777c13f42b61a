"""An index of the sent mails whose facts can be removed

Revision: 0058, after 0057
"""

import sqlalchemy as sa
from alembic import op

revision = "0058"
down_revision = "0057"
branch_labels = None
depends_on = None

WITH_FACTS = sa.text("sent_at IS NOT NULL AND CAST(context AS TEXT) <> '{}'")


def upgrade() -> None:
    op.create_index(
        "ix_outbox_mails_facts",
        "outbox_mails",
        ["sent_at"],
        sqlite_where=WITH_FACTS,
        postgresql_where=WITH_FACTS,
    )


def downgrade() -> None:
    op.drop_index("ix_outbox_mails_facts", table_name="outbox_mails")
