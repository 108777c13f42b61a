"""Stripe's invoices as the pages show them, and the claims to void them."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint, false, text
from sqlalchemy.orm import Mapped, mapped_column

from portal.enums import N_, State
from portal.models.base import Base, BigId, Word, amount, currency, mode, one_of, pk, stripe_id

OPEN = text("status = 'open'")


class InvoiceStatus(State):
    """Stripe's statuses of an invoice (https://docs.stripe.com/invoicing/overview#invoice-statuses)."""

    DRAFT = "draft", N_("Draft")
    OPEN = "open", N_("Open"), "warning"
    PAID = "paid", N_("Paid"), "positive"
    VOID = "void", N_("Void")
    UNCOLLECTIBLE = "uncollectible", N_("Uncollectible"), "negative"

    @property
    def is_draft(self) -> bool:
        """Return whether it can still change."""
        return self == self.DRAFT

    @property
    def is_open(self) -> bool:
        """Return whether it waits for its payment."""
        return self == self.OPEN

    @property
    def is_paid(self) -> bool:
        """Return whether it is paid."""
        return self == self.PAID

    @property
    def is_given_up(self) -> bool:
        """Return whether its payment is no longer expected. An uncollectible invoice can still be paid."""
        return self in (self.VOID, self.UNCOLLECTIBLE)

    @property
    def is_final(self) -> bool:
        """Return whether it no longer changes."""
        return self in (self.PAID, self.VOID)


class Invoice(Base):
    """A copy of a Stripe invoice, written only by a sync. Drafts are not stored, because they can still change."""

    __tablename__ = "invoices"
    __table_args__ = (
        UniqueConstraint("mode", "stripe_id"),
        Index(None, "customer_id", "created_at"),
        Index(None, "number"),
        # What dunning, and voiding after the end of a plan, ask for.
        Index("ix_invoices_open", "subscription_id", sqlite_where=OPEN, postgresql_where=OPEN),
        Index("ix_invoices_synced", "mode", "synced_at", sqlite_where=OPEN, postgresql_where=OPEN),
    )

    id: Mapped[pk]
    customer_id: Mapped[int] = mapped_column(BigId, ForeignKey("customers.id"))
    mode: Mapped[mode]
    stripe_id: Mapped[stripe_id]
    subscription_id: Mapped[str | None] = mapped_column(String(255))  # Stripe's id; null for manual invoices
    number: Mapped[str | None] = mapped_column(String(100))  # null until finalized
    status: Mapped[InvoiceStatus] = mapped_column(Word(InvoiceStatus, 40))
    total: Mapped[amount]
    amount_paid: Mapped[amount]
    amount_due: Mapped[amount]
    currency: Mapped[currency]
    hosted_url: Mapped[str | None] = mapped_column(Text)
    pdf_url: Mapped[str | None] = mapped_column(Text)
    # the payer has to confirm the payment
    needs_action: Mapped[bool] = mapped_column(default=False, server_default=false())
    next_attempt_at: Mapped[datetime | None]  # when Stripe charges it again; null: not automatically
    amount_remaining: Mapped[amount] = mapped_column(BigInteger, default=0, server_default="0")  # still to be paid
    is_sent: Mapped[bool] = mapped_column(default=False, server_default=false())  # sent to be paid, not charged
    due_at: Mapped[datetime | None]  # of a sent invoice
    description: Mapped[str] = mapped_column(Text, default="", server_default="")  # what it is for
    # how it changed the customer's balance: positive if that paid a part, negative if it got a credit
    from_balance: Mapped[amount] = mapped_column(BigInteger, default=0, server_default="0")
    # what credit notes took off what was to be paid, and what they returned after the payment
    credited_due: Mapped[amount] = mapped_column(BigInteger, default=0, server_default="0")
    credited_paid: Mapped[amount] = mapped_column(BigInteger, default=0, server_default="0")
    created_at: Mapped[datetime]  # Stripe's own `created`
    synced_at: Mapped[datetime]

    @property
    def credited(self) -> int:
        """Return what all its credit notes took off."""
        return self.credited_due + self.credited_paid

    @property
    def can_be_paid(self) -> bool:
        """Return whether its page at Stripe takes a payment, whoever made it and however it is collected."""
        return self.status in (InvoiceStatus.OPEN, InvoiceStatus.UNCOLLECTIBLE) and self.amount_remaining > 0


class Voiding(Base):
    """A claim to void an invoice of a plan that has ended, so that the customer is not charged after leaving."""

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
