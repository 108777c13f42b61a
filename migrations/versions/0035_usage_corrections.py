"""Credit notes for usage that is corrected after its bill

Revision: 0035, after 0034
"""

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
OWNERS = (("customer_id", "customers"), ("bill_id", "monthly_bills"), ("meter_id", "meters"))


def upgrade() -> None:
    op.create_table(
        "usage_corrections",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("customer_id", BIG_ID, nullable=False),
        sa.Column("mode", sa.String(length=4), nullable=False),
        sa.Column("bill_id", BIG_ID, nullable=False),
        sa.Column("meter_id", BIG_ID, nullable=False),
        sa.Column("identifier", sa.String(length=100), nullable=False),
        sa.Column("units", sa.BigInteger(), nullable=False),
        sa.Column("nanos", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("credited", sa.BigInteger(), nullable=False),
        sa.Column("credits", sa.BigInteger(), nullable=False),
        sa.Column("params", sa.JSON(), nullable=True),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("credit_note_id", sa.String(length=255), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state IN ('open', 'done', 'refused', 'unclear')", name=op.f("ck_usage_corrections_state")
        ),
        *(
            sa.ForeignKeyConstraint(
                [column], [f"{table}.id"], name=op.f(f"fk_usage_corrections_{column}_{table}")
            )
            for column, table in OWNERS
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_usage_corrections")),
        sa.UniqueConstraint(
            "customer_id", "identifier", name=op.f("uq_usage_corrections_customer_id_identifier")
        ),
    )
    with op.batch_alter_table("usage_corrections") as batch:
        batch.create_index(op.f("ix_usage_corrections_bill_id"), ["bill_id"])
        batch.create_index(op.f("ix_usage_corrections_state"), ["state"])


def downgrade() -> None:
    op.drop_table("usage_corrections")
