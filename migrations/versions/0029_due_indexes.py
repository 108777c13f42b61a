"""Indexes of what scheduled tasks and card webhooks ask for

Revision: 0029, after 0028
"""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

OPEN = sa.text("status = 'open'")
ON_A_CLOCK = sa.text("clock_at IS NOT NULL")
PLAIN = {
    "ix_subscriptions_stripe_customer": ["stripe_customer"],
    "ix_subscriptions_status_trial_end": ["status", "trial_end"],
    "ix_subscriptions_card_exp_year_card_exp_month": ["card_exp_year", "card_exp_month"],
}


def upgrade() -> None:
    for name, columns in PLAIN.items():
        op.create_index(name, "subscriptions", columns)
    op.create_index("ix_invoices_open", "invoices", ["id"], sqlite_where=OPEN, postgresql_where=OPEN)
    where = {"sqlite_where": ON_A_CLOCK, "postgresql_where": ON_A_CLOCK}
    op.create_index("ix_customers_on_a_clock", "customers", ["id"], **where)


def downgrade() -> None:
    op.drop_index("ix_customers_on_a_clock", "customers")
    op.drop_index("ix_invoices_open", "invoices")
    for name in PLAIN:
        op.drop_index(name, "subscriptions")
