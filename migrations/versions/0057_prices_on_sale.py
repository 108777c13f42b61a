"""Keep withdrawn prices under the same key: keys are unique among the prices on sale."""

import sqlalchemy as sa
from alembic import op

revision = "0057"
down_revision = "0056"
branch_labels = None
depends_on = None

COLUMNS = ("key", "lookup_key")


def upgrade() -> None:
    with op.batch_alter_table("prices") as table:
        for column in COLUMNS:
            table.drop_constraint(f"uq_prices_{column}", type_="unique")
    on_sale = sa.text("NOT withdrawn")
    for column in COLUMNS:
        name = f"uq_prices_{column}_on_sale"
        op.create_index(name, "prices", [column], unique=True, sqlite_where=on_sale, postgresql_where=on_sale)


def downgrade() -> None:
    """Earlier releases know each key once: a withdrawn price keeps its ids, and gets a key of its own."""
    for column in COLUMNS:
        own = f"substr({column}, 1, 40) || '-withdrawn-' || id"
        op.execute(sa.text(f"UPDATE prices SET {column} = {own} WHERE withdrawn"))
    for column in COLUMNS:
        op.drop_index(f"uq_prices_{column}_on_sale", "prices")
    with op.batch_alter_table("prices") as table:
        for column in COLUMNS:
            table.create_unique_constraint(f"uq_prices_{column}", [column])
