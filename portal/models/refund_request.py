"""Refunds that an admin requests."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from portal.enums import Mode
from portal.models.base import Base, BigId, amount, currency, mode, one_of, pk

OPEN = text("state IN ('open', 'unclear')")


class RefundRequest(Base):
    """A refund, written before the call to Stripe. A payment has at most one refund in progress."""

    __tablename__ = "refund_requests"
    __table_args__ = (
        CheckConstraint(one_of("mode", *Mode), "mode"),
        CheckConstraint(one_of("state", "open", "done", "failed", "unclear"), "state"),
        Index("uq_refund_requests_open", "payment_intent", unique=True, sqlite_where=OPEN, postgresql_where=OPEN),
        Index(None, "payment_intent"),
        Index(None, "state", "created_at"),  # what the scheduled task asks for
    )

    id: Mapped[pk]
    mode: Mapped[mode]
    customer_id: Mapped[int] = mapped_column(BigId, ForeignKey("customers.id"), index=True)
    payment_intent: Mapped[str] = mapped_column(String(255))
    amount: Mapped[amount]
    currency: Mapped[currency]
    nonce: Mapped[str] = mapped_column(String(64), unique=True)  # of the form that submitted it
    attempt: Mapped[int] = mapped_column(default=1)
    state: Mapped[str] = mapped_column(String(10), default="open")
    stripe_id: Mapped[str | None] = mapped_column(String(255))  # the refund's id, once it is done
    created_at: Mapped[datetime]
