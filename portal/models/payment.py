"""Every payment that concerns us, whatever it paid for, with its refunds and disputes."""

from datetime import datetime
from enum import StrEnum
from typing import Self

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from portal.enums import N_, State
from portal.models.base import Base, BigId, Word, amount, currency, mode, one_of, pk, stripe_id


class PaymentKind(StrEnum):
    """What a payment paid for. It alone decides what happens when the payment is withdrawn."""

    CREDITS = "credits"
    PLAN = "plan"  # a plan that is paid once
    SUBSCRIPTION = "subscription"  # an invoice of a subscription
    USAGE = "usage"  # the invoice of a monthly bill
    INVOICE = "invoice"  # any other invoice


class ReversalKind(StrEnum):
    """How a payment is reversed."""

    REFUND = "refund"
    DISPUTE = "dispute"


class PaymentStatus(State):
    """What a payment came to."""

    SUCCEEDED = "succeeded", N_("Paid"), "positive"
    FAILED = "failed", N_("Declined"), "negative"
    PROCESSING = "processing", N_("Processing"), "warning"


class PaidState(State):
    """How much of an amount is paid in parts, or returned; never stored, `portal.payments.status` computes it."""

    DISPUTED = "disputed", N_("Disputed"), "negative"
    REFUNDED = "refunded", N_("Refunded")
    PARTLY_REFUNDED = "partly_refunded", N_("Partly refunded")
    PARTLY_PAID = "partly_paid", N_("Partly paid"), "warning"


class ReversalState(State):
    """Stripe's statuses of refunds (https://docs.stripe.com/api/refunds/object) and disputes.

    An inquiry, which some banks make before a dispute, takes no money
    (https://docs.stripe.com/disputes/how-disputes-work).
    """

    PENDING = "pending", N_("Pending"), "warning"
    REQUIRES_ACTION = "requires_action", N_("Requires action"), "warning"
    SUCCEEDED = "succeeded", N_("Refunded")
    FAILED = "failed", N_("Failed"), "negative"
    CANCELED = "canceled", N_("Canceled")
    NEEDS_RESPONSE = "needs_response", N_("Open"), "negative"
    UNDER_REVIEW = "under_review", N_("In review")
    WON = "won", N_("Won"), "positive"
    LOST = "lost", N_("Lost"), "negative"
    PREVENTED = "prevented", N_("Prevented")
    WARNING_NEEDS_RESPONSE = "warning_needs_response", N_("Inquiry")
    WARNING_UNDER_REVIEW = "warning_under_review", N_("Inquiry in review")
    WARNING_CLOSED = "warning_closed", N_("Inquiry closed")

    @property
    def is_inquiry(self) -> bool:
        """Return whether a bank asks about a payment without disputing it."""
        return self in (self.WARNING_NEEDS_RESPONSE, self.WARNING_UNDER_REVIEW, self.WARNING_CLOSED)

    @property
    def never_arrived(self) -> bool:
        """Return whether it is a refund whose money was returned."""
        return self in self.returned()

    @property
    def is_final(self) -> bool:
        """Return whether no further change is expected."""
        closed = (self.SUCCEEDED, self.WON, self.LOST, self.PREVENTED, self.WARNING_CLOSED)
        return self.never_arrived or self in closed

    def takes_money(self, kind: ReversalKind) -> bool:
        """Return whether the payment is withdrawn now. A dispute of unknown status withdraws it, a refund does
        not.
        """
        if kind == ReversalKind.REFUND:
            return self == self.SUCCEEDED
        return not self.is_inquiry and self not in (self.WON, self.PREVENTED)

    @classmethod
    def returned(cls) -> tuple[Self, ...]:
        """Return the statuses of refunds whose money came back."""
        return cls.FAILED, cls.CANCELED

    @property
    def headline(self) -> str:
        """What a dispute's mail to admins says first."""
        named = {self.WON: N_("Dispute won"), self.LOST: N_("Dispute lost")}
        return named.get(self) or (N_("Inquiry about a payment") if self.is_inquiry else N_("Payment disputed"))


class Payment(Base):
    """A payment as Stripe last described it.

    `amount_withdrawn` is the sum that its refunds and disputes withdraw now. All consequences are computed from
    it.
    """

    __tablename__ = "payments"
    __table_args__ = (
        UniqueConstraint("mode", "stripe_id"),
        CheckConstraint(one_of("status", *PaymentStatus), "status"),
        CheckConstraint(one_of("kind", *PaymentKind), "kind"),
        CheckConstraint("order_id IS NOT NULL OR invoice_id IS NOT NULL", "paid_for"),
        Index(None, "customer_id", "created_at", "id"),
        Index(None, "mode", "invoice_id"),
    )

    id: Mapped[pk]
    customer_id: Mapped[int] = mapped_column(BigId, ForeignKey("customers.id"))
    mode: Mapped[mode]
    kind: Mapped[str] = mapped_column(String(12))  # a PaymentKind
    stripe_id: Mapped[stripe_id]  # the id of the payment intent, else of the charge, else of the invoice payment
    charge_id: Mapped[str | None] = mapped_column(String(255), index=True)  # null until it is known
    order_id: Mapped[int | None] = mapped_column(BigId, ForeignKey("orders.id"), index=True)
    invoice_id: Mapped[str | None] = mapped_column(String(255))  # Stripe's id of the invoice that it paid
    amount: Mapped[amount]
    currency: Mapped[currency]
    # including pending refunds
    amount_refunded: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    amount_disputed: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")  # withdrawn by a bank
    amount_withdrawn: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")  # at most `amount`
    receipt_url: Mapped[str | None] = mapped_column(Text)  # null where Stripe has none
    document_url: Mapped[str | None] = mapped_column(Text)  # the invoice of an order; null where there is none
    status: Mapped[PaymentStatus] = mapped_column(Word(PaymentStatus, 20))
    created_at: Mapped[datetime]
    synced_at: Mapped[datetime]

    @property
    def is_withdrawn(self) -> bool:
        """Return whether the full amount is withdrawn now."""
        return 0 < self.amount <= self.amount_withdrawn


class Reversal(Base):
    """A refund or dispute of a payment, as Stripe last described it. Amounts are in the payment's currency."""

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
    status: Mapped[ReversalState] = mapped_column(Word(ReversalState, 40))
    created_at: Mapped[datetime]
    synced_at: Mapped[datetime]

    @property
    def is_open_or_lost(self) -> bool:
        """Return whether it is a dispute whose money a bank has withdrawn and not returned."""
        return self.kind == ReversalKind.DISPUTE and self.withdrawn > 0
