"""One table of payments: those of invoices and of one-time plans too, and what is withdrawn of each

The tables are made anew, because SQLite can neither rename a constraint nor let a column be null.

Revision: 0025, after 0024
"""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
NOT_WITHDRAWN = "('won', 'prevented', 'warning_needs_response', 'warning_under_review', 'warning_closed')"
WITHDRAWN = f"""CASE WHEN kind = 'refund' THEN CASE WHEN status = 'succeeded' THEN amount ELSE 0 END
WHEN status IN {NOT_WITHDRAWN} THEN 0 ELSE amount END"""

CREDITS = """
INSERT INTO payments (id, customer_id, mode, kind, stripe_id, charge_id, purchase_id, amount, currency,
    amount_refunded, amount_disputed, amount_withdrawn, receipt_url, status, created_at, synced_at)
SELECT id, customer_id, mode, 'credits', payment_intent, charge_id, purchase_id, amount, currency,
    amount_refunded, amount_disputed, 0, receipt_url, status, created_at, synced_at
FROM old_payments"""
REVERSALS = f"""
INSERT INTO reversals (id, customer_id, mode, stripe_id, kind, payment_id, amount, withdrawn, status, created_at,
    synced_at)
SELECT id, customer_id, mode, stripe_id, kind, payment_id, amount, {WITHDRAWN}, status, created_at, synced_at
FROM old_reversals"""
SUM = "(SELECT coalesce(sum(withdrawn), 0) FROM reversals WHERE payment_id = payments.id)"
SUMS = f"UPDATE payments SET amount_withdrawn = CASE WHEN {SUM} > amount THEN amount ELSE {SUM} END"
# Of an invoice's refunds only the sums were kept: their own rows come with the next sync, which reconcile asks for.
INVOICES = """
INSERT INTO payments (customer_id, mode, kind, stripe_id, invoice_id, amount, currency, amount_refunded,
    amount_disputed, amount_withdrawn, status, created_at, synced_at)
SELECT customer_id, mode,
    CASE WHEN EXISTS (SELECT 1 FROM monthly_bills AS bill
                      WHERE bill.mode = invoices.mode AND bill.invoice_id = invoices.stripe_id) THEN 'usage'
         WHEN subscription_id IS NOT NULL THEN 'subscription' ELSE 'invoice' END,
    payment_intent, stripe_id, amount_paid, currency, amount_refunded, amount_disputed,
    CASE WHEN amount_refunded + amount_disputed > amount_paid THEN amount_paid
         ELSE amount_refunded + amount_disputed END,
    'succeeded', created_at, synced_at
FROM invoices
WHERE payment_intent IS NOT NULL AND amount_paid > 0 AND id IN (
    SELECT min(id) FROM invoices GROUP BY mode, payment_intent)
AND NOT EXISTS (SELECT 1 FROM old_payments
                WHERE old_payments.mode = invoices.mode AND old_payments.payment_intent = invoices.payment_intent)"""
# The numbers of the syncs that only wrote an invoice's sums.
TICKETS = "DELETE FROM sync_tickets WHERE object_id LIKE 'ch%/invoice' OR object_id LIKE 'py%/invoice'"

OLD_PAYMENTS = """
INSERT INTO payments (id, customer_id, mode, purchase_id, payment_intent, charge_id, amount, currency, credits,
    amount_refunded, amount_disputed, receipt_url, status, created_at, synced_at)
SELECT new.id, new.customer_id, new.mode, new.purchase_id, new.stripe_id, new.charge_id, new.amount, new.currency,
    coalesce(purchases.credits, 0), new.amount_refunded, new.amount_disputed, new.receipt_url, new.status,
    new.created_at, new.synced_at
FROM new_payments AS new JOIN purchases ON purchases.id = new.purchase_id WHERE new.kind = 'credits'"""
OLD_REVERSALS = """
INSERT INTO reversals (id, customer_id, mode, stripe_id, kind, payment_id, amount, status, created_at, synced_at)
SELECT id, customer_id, mode, stripe_id, kind, payment_id, amount, status, created_at, synced_at
FROM new_reversals WHERE payment_id IN (SELECT id FROM payments)"""
PAID_BY = """FROM new_payments AS new
WHERE new.mode = invoices.mode AND new.invoice_id = invoices.stripe_id"""
OLD_INVOICES = f"""
UPDATE invoices SET
    payment_intent = (SELECT min(new.stripe_id) {PAID_BY} AND new.stripe_id LIKE 'pi%'),
    amount_refunded = (SELECT coalesce(sum(new.amount_refunded), 0) {PAID_BY}),
    amount_disputed = (SELECT coalesce(sum(new.amount_disputed), 0) {PAID_BY})"""


def upgrade() -> None:
    _set_aside("old")
    _create_payments(
        sa.Column("kind", sa.String(12), nullable=False),
        sa.Column("stripe_id", sa.String(255), nullable=False),
        sa.Column("purchase_id", Id, nullable=True),
        sa.Column("invoice_id", sa.String(255), nullable=True),
        sa.Column("amount_withdrawn", sa.BigInteger(), server_default="0", nullable=False),
        sa.CheckConstraint(
            "kind IN ('credits', 'plan', 'subscription', 'usage', 'invoice')", name=op.f("ck_payments_kind")
        ),
        sa.CheckConstraint(
            "purchase_id IS NOT NULL OR invoice_id IS NOT NULL", name=op.f("ck_payments_paid_for")
        ),
        sa.UniqueConstraint("mode", "stripe_id", name=op.f("uq_payments_mode_stripe_id")),
        refunded=sa.Column("amount_refunded", sa.BigInteger(), server_default="0", nullable=False),
    )
    op.create_index(op.f("ix_payments_mode_invoice_id"), "payments", ["mode", "invoice_id"])
    _create_reversals(sa.Column("withdrawn", sa.BigInteger(), server_default="0", nullable=False))
    _run(CREDITS, REVERSALS, SUMS)
    _number_on()
    _run(INVOICES, TICKETS)
    _drop_aside("old")
    op.drop_index("ix_invoices_payment_intent", "invoices")
    for column in ("payment_intent", "amount_refunded", "amount_disputed"):
        op.drop_column("invoices", column)
    op.add_column("plans", sa.Column("on_dispute", sa.String(10), server_default="keep", nullable=False))


def downgrade() -> None:
    """Payments of one-time plans, and the single refunds and disputes of invoices, have no place there."""
    op.drop_column("plans", "on_dispute")
    op.add_column("invoices", sa.Column("payment_intent", sa.String(255), nullable=True))
    for column in ("amount_refunded", "amount_disputed"):
        op.add_column("invoices", sa.Column(column, sa.BigInteger(), server_default="0", nullable=False))
    op.create_index("ix_invoices_payment_intent", "invoices", ["payment_intent"])
    _set_aside("new")
    _create_payments(
        sa.Column("payment_intent", sa.String(255), nullable=False),
        sa.Column("purchase_id", Id, nullable=False),
        sa.Column("credits", sa.BigInteger(), nullable=False),
        sa.UniqueConstraint("mode", "payment_intent", name=op.f("uq_payments_mode_payment_intent")),
        refunded=sa.Column("amount_refunded", sa.BigInteger(), nullable=False),
    )
    _create_reversals()
    _run(OLD_PAYMENTS, OLD_REVERSALS, OLD_INVOICES)
    _number_on()
    _drop_aside("new")


def _run(*statements: str) -> None:
    for statement in statements:
        op.execute(statement)


def _set_aside(name: str) -> None:
    """Both tables' rows, without their constraints and indexes, whose names are needed again."""
    for table in ("payments", "reversals"):
        op.execute(f"CREATE TABLE {name}_{table} AS SELECT * FROM {table}")
    for table in ("reversals", "payments"):
        op.drop_table(table)


def _drop_aside(name: str) -> None:
    for table in ("payments", "reversals"):
        op.drop_table(f"{name}_{table}")


def _create_payments(*own: sa.Column | sa.Constraint, refunded: sa.Column) -> None:
    op.create_table(
        "payments",
        sa.Column("id", Id, nullable=False),
        sa.Column("customer_id", Id, nullable=False),
        sa.Column("mode", sa.String(4), nullable=False),
        sa.Column("charge_id", sa.String(255), nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        refunded,
        sa.Column("amount_disputed", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("receipt_url", sa.Text(), nullable=True),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("synced_at", sa.DateTime(timezone=True), nullable=False),
        *own,
        sa.CheckConstraint("status IN ('succeeded', 'failed', 'processing')", name=op.f("ck_payments_status")),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_payments_customer_id_customers")),
        sa.ForeignKeyConstraint(["purchase_id"], ["purchases.id"], name=op.f("fk_payments_purchase_id_purchases")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payments")),
    )
    op.create_index(op.f("ix_payments_charge_id"), "payments", ["charge_id"])
    op.create_index(op.f("ix_payments_purchase_id"), "payments", ["purchase_id"])
    order = ["customer_id", "created_at", "id"]
    op.create_index(op.f("ix_payments_customer_id_created_at_id"), "payments", order)


def _create_reversals(*own: sa.Column) -> None:
    op.create_table(
        "reversals",
        sa.Column("id", Id, nullable=False),
        sa.Column("customer_id", Id, nullable=False),
        sa.Column("mode", sa.String(4), nullable=False),
        sa.Column("stripe_id", sa.String(255), nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("payment_id", Id, nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        *own,
        sa.Column("status", sa.String(40), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("synced_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("kind IN ('refund', 'dispute')", name=op.f("ck_reversals_kind")),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name=op.f("fk_reversals_customer_id_customers")
        ),
        sa.ForeignKeyConstraint(["payment_id"], ["payments.id"], name=op.f("fk_reversals_payment_id_payments")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reversals")),
        sa.UniqueConstraint("mode", "stripe_id", name=op.f("uq_reversals_mode_stripe_id")),
    )
    order = ["customer_id", "created_at", "id"]
    op.create_index(op.f("ix_reversals_customer_id_created_at_id"), "reversals", order)
    op.create_index(op.f("ix_reversals_payment_id"), "reversals", ["payment_id"])


def _number_on() -> None:
    """PostgreSQL counts on from the ids that were carried over; SQLite does so by itself."""
    if op.get_context().dialect.name == "postgresql":
        for table in ("payments", "reversals"):
            sequence = f"pg_get_serial_sequence('{table}', 'id')"
            op.execute(f"SELECT setval({sequence}, coalesce(max(id), 1), max(id) IS NOT NULL) FROM {table}")
