"""Payments that a card's issuer suspects of fraud, before anyone disputes them."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from portal.enums import Mode
from portal.models.base import Base, BigId, mode, one_of, pk, stripe_id


class FraudWarning(Base):
    """An early fraud warning about a payment, as Stripe last described it."""

    __tablename__ = "fraud_warnings"
    __table_args__ = (
        UniqueConstraint("mode", "stripe_id"),
        CheckConstraint(one_of("mode", *Mode), "mode"),
        Index(None, "is_actionable", "id"),
    )

    id: Mapped[pk]
    customer_id: Mapped[int] = mapped_column(BigId, ForeignKey("customers.id"), index=True)
    mode: Mapped[mode]
    stripe_id: Mapped[stripe_id]
    payment_id: Mapped[int] = mapped_column(BigId, ForeignKey("payments.id"), index=True)
    fraud_type: Mapped[str] = mapped_column(String(64))  # Stripe's own word
    is_actionable: Mapped[bool]  # false once the payment is refunded in full or disputed
    created_at: Mapped[datetime]
