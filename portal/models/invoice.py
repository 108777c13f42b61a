"""What the pages show of Stripe's invoices, and the claims to void them."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint, false, text
from sqlalchemy.orm import Mapped, mapped_column

from portal.models.base import Base, BigId, amount, currency, mode, one_of, pk, stripe_id

OPEN = text("status = 'open'")


class Invoice(Base):
    """A copy of a Stripe invoice; only a sync writes it. Drafts are not kept: they can still change."""

    __tablename__ = "invoices"
    __table_args__ = (
        UniqueConstraint("mode", "stripe_id"),
        Index(None, "customer_id", "created_at"),
        Index(None, "number"),
        Index("ix_invoices_open", "id", sqlite_where=OPEN, postgresql_where=OPEN),
    )

    id: Mapped[pk]
    customer_id: Mapped[int] = mapped_column(BigId, ForeignKey("customers.id"))
    mode: Mapped[mode]
    stripe_id: Mapped[stripe_id]
    subscription_id: Mapped[str | None] = mapped_column(String(255))  # Stripe's id; null for manual invoices
    number: Mapped[str | None] = mapped_column(String(100))  # null until finalised
    status: Mapped[str] = mapped_column(String(20))  # open, paid, void, uncollectible
    total: Mapped[amount]
    amount_paid: Mapped[amount]
    amount_due: Mapped[amount]
    currency: Mapped[currency]
    hosted_url: Mapped[str | None] = mapped_column(Text)
    pdf_url: Mapped[str | None] = mapped_column(Text)
    needs_action: Mapped[bool] = mapped_column(default=False, server_default=false())  # waits for its payer
    next_attempt_at: Mapped[datetime | None]  # when Stripe charges it again; null: not by itself
    created_at: Mapped[datetime]  # Stripe's own `created`
    synced_at: Mapped[datetime]


class Voiding(Base):
    """The claim to void an invoice of a plan that has ended, so that nobody is charged after leaving."""

    __tablename__ = "voidings"
    __table_args__ = (
        UniqueConstraint("mode", "invoice_id"),
        CheckConstraint(one_of("state", "open", "done", "refused"), "state"),
    )

    id: Mapped[pk]
    customer_id: Mapped[int] = mapped_column(BigId, ForeignKey("customers.id"), index=True)
    mode: Mapped[mode]
    invoice_id: Mapped[stripe_id]
    state: Mapped[str] = mapped_column(String(10), default="open", index=True)
    attempt: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime]
