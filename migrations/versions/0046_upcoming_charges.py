"""What will be charged: items and terms of subscriptions, Stripe's previews, balances and what invoices are for

Revision: 0046, after 0045
"""

import sqlalchemy as sa
from alembic import op

revision = "0046"
down_revision = "0045"
branch_labels = None
depends_on = None

EMPTY_LIST, EMPTY = sa.text("'[]'"), sa.text("'{}'")
MOMENT = sa.DateTime(timezone=True)
ADDED = {
    "subscriptions": {
        "is_usage": (sa.Boolean(), sa.false()),
        "items": (sa.JSON(), EMPTY_LIST),
        "terms": (sa.JSON(), EMPTY),
        "method_type": (sa.String(40), None),
        "next_items": (sa.JSON(), EMPTY_LIST),
        "next_due_at": (MOMENT, None),
        "next_lines": (sa.JSON(), EMPTY),
        "previewed_at": (MOMENT, None),
    },
    "stripe_customers": {
        "balance": (sa.BigInteger(), "0"),
        "currency": (sa.String(3), None),
        "upcoming": (sa.JSON(), EMPTY),
        "asked_at": (MOMENT, None),
    },
    "invoices": {
        "amount_remaining": (sa.BigInteger(), "0"),
        "is_sent": (sa.Boolean(), sa.false()),
        "due_at": (MOMENT, None),
        "description": (sa.Text(), ""),
        "from_balance": (sa.BigInteger(), "0"),
        "credited_due": (sa.BigInteger(), "0"),
        "credited_paid": (sa.BigInteger(), "0"),
    },
}


def upgrade() -> None:
    for table, columns in ADDED.items():
        for name, (kind, default) in columns.items():
            op.add_column(table, sa.Column(name, kind, server_default=default, nullable=default is None))
    # Until the next sync. The amount that a discount lowers is previewed when somebody looks.
    op.execute("UPDATE subscriptions SET is_usage = true WHERE tier IS NULL AND amount = 0")
    op.execute("UPDATE subscriptions SET next_due = NULL")
    op.execute("UPDATE invoices SET amount_remaining = amount_due WHERE status = 'open'")


def downgrade() -> None:
    for table, columns in ADDED.items():
        for name in reversed(columns):
            op.drop_column(table, name)
