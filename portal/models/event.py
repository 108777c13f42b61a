"""The webhook inbox."""

from datetime import datetime

from sqlalchemy import CheckConstraint, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from portal.models.base import Base, mode, one_of, pk, stripe_id


class StripeEvent(Base):
    """An event that Stripe delivered, and what became of it. Done only when its effects are committed."""

    __tablename__ = "stripe_events"
    __table_args__ = (
        UniqueConstraint("mode", "event_id"),
        CheckConstraint(one_of("state", "received", "processed", "failed", "ignored", "parked"), "state"),
        Index(None, "state", "id"),
        Index(None, "mode", "customer_ref", "state"),
        # What the inspector narrows its list by.
        Index(None, "mode", "id"),
        Index(None, "type", "id"),
        Index(None, "received_at"),
        Index(None, "object_id"),
    )

    id: Mapped[pk]
    mode: Mapped[mode]
    event_id: Mapped[stripe_id]
    type: Mapped[str] = mapped_column(String(100))
    object_id: Mapped[str] = mapped_column(String(255))
    customer_ref: Mapped[str | None] = mapped_column(String(255))  # Stripe's customer, where the object names one
    state: Mapped[str] = mapped_column(String(10), default="received")
    error: Mapped[str | None] = mapped_column(Text)  # the last failure's words, or why it was parked
    attempts: Mapped[int] = mapped_column(default=0)
    failures: Mapped[int] = mapped_column(default=0, server_default="0")  # how many of the attempts
    duplicates: Mapped[int] = mapped_column(default=0, server_default="0")  # deliveries after it was done
    payload: Mapped[str] = mapped_column(Text)  # as delivered
    created_at: Mapped[datetime]  # Stripe's own `created`
    received_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]  # when it came to its present state; null while `received`
