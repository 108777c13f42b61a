"""Every payment that concerns us, whatever it paid for, and the refunds and disputes that take it back."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from portal.models.base import Base, BigId, amount, currency, mode, one_of, pk, stripe_id


class PaymentKind(StrEnum):
    """What a payment paid for. What follows when it is withdrawn depends on this alone."""

    CREDITS = "credits"
    PLAN = "plan"  # a plan that is paid once
    SUBSCRIPTION = "subscription"  # an invoice of a subscription
    USAGE = "usage"  # the invoice of a monthly bill
    INVOICE = "invoice"  # any other invoice


class ReversalKind(StrEnum):
    """How a payment is taken back."""

    REFUND = "refund"
    DISPUTE = "dispute"


class Payment(Base):
    """A payment as Stripe last described it.

    `amount_withdrawn` is what its refunds and disputes withdraw now; what follows is computed from that.
    """

    __tablename__ = "payments"
    __table_args__ = (
        UniqueConstraint("mode", "stripe_id"),
        CheckConstraint(one_of("status", "succeeded", "failed", "processing"), "status"),
        CheckConstraint(one_of("kind", *PaymentKind), "kind"),
        CheckConstraint("purchase_id IS NOT NULL OR invoice_id IS NOT NULL", "paid_for"),
        Index(None, "customer_id", "created_at", "id"),
        Index(None, "mode", "invoice_id"),
    )

    id: Mapped[pk]
    customer_id: Mapped[int] = mapped_column(BigId, ForeignKey("customers.id"))
    mode: Mapped[mode]
    kind: Mapped[str] = mapped_column(String(12))  # a PaymentKind
    stripe_id: Mapped[stripe_id]  # the payment intent's id, else the charge's, else the invoice payment's
    charge_id: Mapped[str | None] = mapped_column(String(255), index=True)  # null until it is known
    purchase_id: Mapped[int | None] = mapped_column(BigId, ForeignKey("purchases.id"), index=True)
    invoice_id: Mapped[str | None] = mapped_column(String(255))  # Stripe's id of the invoice that it paid
    amount: Mapped[amount]
    currency: Mapped[currency]
    amount_refunded: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")  # pending ones too
    amount_disputed: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")  # withdrawn by a bank
    amount_withdrawn: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")  # at most `amount`
    receipt_url: Mapped[str | None] = mapped_column(Text)  # null where Stripe has none
    status: Mapped[str] = mapped_column(String(20))
    created_at: Mapped[datetime]
    synced_at: Mapped[datetime]

    @property
    def is_withdrawn(self) -> bool:
        """Whether all of it is withdrawn now."""
        return 0 < self.amount <= self.amount_withdrawn


class Reversal(Base):
    """One refund or dispute of a payment, as Stripe last described it; amounts in the payment's currency."""

    __tablename__ = "reversals"
    __table_args__ = (
        UniqueConstraint("mode", "stripe_id"),
        CheckConstraint(one_of("kind", *ReversalKind), "kind"),
        Index(None, "customer_id", "created_at", "id"),
    )

    id: Mapped[pk]
    customer_id: Mapped[int] = mapped_column(BigId, ForeignKey("customers.id"))
    mode: Mapped[mode]
    stripe_id: Mapped[stripe_id]
    kind: Mapped[str] = mapped_column(String(10))  # a ReversalKind
    payment_id: Mapped[int] = mapped_column(BigId, ForeignKey("payments.id"), index=True)
    amount: Mapped[amount]
    withdrawn: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")  # 0 or `amount`, by status
    status: Mapped[str] = mapped_column(String(40))  # Stripe's own word
    created_at: Mapped[datetime]
    synced_at: Mapped[datetime]

    @property
    def is_open_or_lost(self) -> bool:
        """Whether it is a dispute whose money a bank has and has not given back."""
        return self.kind == ReversalKind.DISPUTE and self.withdrawn > 0
