"""Monthly recurring revenue of subscriptions, its movements, and daily sums

Revision: 0054, after 0053
"""

import sqlalchemy as sa
from alembic import op

revision = "0054"
down_revision = "0053"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)
DUE = sa.text("mrr <> mrr_booked")
# Movements only grow. Batch mode drops triggers silently: a later migration that copies the table must create them
# again.
REFUSE_CHANGES = {
    "sqlite": (
        """CREATE TRIGGER mrr_movements_no_update BEFORE UPDATE ON mrr_movements
        BEGIN SELECT RAISE(ABORT, 'mrr_movements is append-only'); END""",
        """CREATE TRIGGER mrr_movements_no_delete BEFORE DELETE ON mrr_movements
        BEGIN SELECT RAISE(ABORT, 'mrr_movements is append-only'); END""",
    ),
    "postgresql": (  # the function came with the ledger
        """CREATE TRIGGER mrr_movements_no_change BEFORE UPDATE OR DELETE ON mrr_movements
        FOR EACH ROW EXECUTE FUNCTION refuse_change()""",
        """CREATE TRIGGER mrr_movements_no_truncate BEFORE TRUNCATE ON mrr_movements
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()""",
    ),
}


def upgrade() -> None:
    op.add_column("subscriptions", sa.Column("mrr", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("subscriptions", sa.Column("mrr_booked", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("subscriptions", sa.Column("mrr_since", TIME, nullable=True))
    op.add_column(
        "subscriptions", sa.Column("mrr_opening", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
    op.execute("UPDATE subscriptions SET mrr_opening = true WHERE ended_at IS NULL")
    op.create_index(
        "ix_subscriptions_mrr_due", "subscriptions", ["mrr_since"], sqlite_where=DUE, postgresql_where=DUE
    )
    op.create_table(
        "mrr_movements",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("subscription_id", BIG_ID, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("mode", sa.String(length=4), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("mrr_after", sa.BigInteger(), nullable=False),
        sa.Column("previous_tier", sa.String(length=64), nullable=True),
        sa.Column("tier", sa.String(length=64), nullable=True),
        sa.Column("effective_at", TIME, nullable=False),
        sa.Column("counts_on", sa.Date(), nullable=False),
        sa.Column("booked_at", TIME, nullable=False),
        sa.CheckConstraint(
            "kind IN ('opening', 'new', 'expansion', 'contraction', 'churn', 'reactivation')",
            name=op.f("ck_mrr_movements_kind"),
        ),
        sa.CheckConstraint("amount <> 0", name=op.f("ck_mrr_movements_amount")),
        sa.ForeignKeyConstraint(
            ["subscription_id"], ["subscriptions.id"], name=op.f("fk_mrr_movements_subscription_id_subscriptions")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mrr_movements")),
        sa.UniqueConstraint("subscription_id", "number", name=op.f("uq_mrr_movements_subscription_id_number")),
    )
    op.create_index(op.f("ix_mrr_movements_mode_counts_on_id"), "mrr_movements", ["mode", "counts_on", "id"])
    for statement in REFUSE_CHANGES[op.get_context().dialect.name]:
        op.execute(statement)
    op.create_table(
        "daily_figures",
        sa.Column("mode", sa.String(length=4), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("name", sa.String(length=150), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("month", sa.Integer(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("mode", "day", "name", "currency", name=op.f("pk_daily_figures")),
    )
    op.create_index(op.f("ix_daily_figures_mode_month"), "daily_figures", ["mode", "month"])


def downgrade() -> None:
    op.drop_table("daily_figures")
    op.drop_table("mrr_movements")
    op.drop_index("ix_subscriptions_mrr_due", table_name="subscriptions")
    for name in ("mrr_opening", "mrr_since", "mrr_booked", "mrr"):
        op.drop_column("subscriptions", name)
