"""What plans include each month: credits, and units of meters

Revision: 0047, after 0046
"""

import sqlalchemy as sa
from alembic import op

revision = "0047"
down_revision = "0046"
branch_labels = None
depends_on = None

ADDED: dict[str, tuple[sa.types.TypeEngine, object]] = {
    "credits": (sa.BigInteger(), "0"),
    "credits_in_trial": (sa.Boolean(), sa.false()),
    "rollover": (sa.Integer(), "0"),
    "included": (sa.JSON(), sa.text("'{}'")),
}


def upgrade() -> None:
    for name, (kind, default) in ADDED.items():
        op.add_column("plans", sa.Column(name, kind, server_default=default, nullable=False))


def downgrade() -> None:
    for name in ADDED:
        op.drop_column("plans", name)
