"""Payments that arrived and are no order of ours."""

from datetime import datetime

from sqlalchemy import CheckConstraint, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from portal.models.base import Base, amount, currency, mode, one_of, pk


class UnplacedPayment(Base):
    """A paid Checkout Session that points to this portal and that no order is behind, noted once.

    It stays unplaced until a purchase of its session exists; see `portal.purchases.unplaced`.
    """

    __tablename__ = "unplaced_payments"
    __table_args__ = (
        UniqueConstraint("mode", "session_id"),
        CheckConstraint(one_of("mode", "live", "test"), "mode"),
    )

    id: Mapped[pk]
    mode: Mapped[mode]
    session_id: Mapped[str] = mapped_column(String(255))
    price_id: Mapped[str | None] = mapped_column(String(255))  # null: its session names no price
    tier: Mapped[str | None] = mapped_column(String(64))  # what its product or price seems to sell; null: unknown
    amount: Mapped[amount]
    currency: Mapped[currency]
    created_at: Mapped[datetime]
