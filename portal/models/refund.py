"""Refunds that an admin orders."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from portal.models.base import Base, BigId, amount, currency, mode, one_of, pk

OPEN = text("state IN ('open', 'unclear')")


class RefundOrder(Base):
    """A refund, written before Stripe is asked for it; of one payment only one is under way at a time."""

    __tablename__ = "refund_orders"
    __table_args__ = (
        CheckConstraint(one_of("mode", "live", "test"), "mode"),
        CheckConstraint(one_of("state", "open", "done", "failed", "unclear"), "state"),
        Index("uq_refund_orders_open", "payment_intent", unique=True, sqlite_where=OPEN, postgresql_where=OPEN),
        Index(None, "payment_intent"),
    )

    id: Mapped[pk]
    mode: Mapped[mode]
    customer_id: Mapped[int] = mapped_column(BigId, ForeignKey("customers.id"), index=True)
    payment_intent: Mapped[str] = mapped_column(String(255))
    amount: Mapped[amount]
    currency: Mapped[currency]
    nonce: Mapped[str] = mapped_column(String(64), unique=True)  # of the form that it came by
    attempt: Mapped[int] = mapped_column(default=1)
    state: Mapped[str] = mapped_column(String(10), default="open")
    stripe_id: Mapped[str | None] = mapped_column(String(255))  # the refund's, once it is done
    created_at: Mapped[datetime]
