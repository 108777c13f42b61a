"""Payments that arrived and belong to no order of ours."""

from datetime import datetime

from sqlalchemy import CheckConstraint, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from portal.enums import Mode
from portal.models.base import Base, amount, currency, mode, one_of, pk

TO_TRY = text("next_try_at IS NOT NULL")


class UnplacedPayment(Base):
    """A paid Checkout Session that refers to this portal but has no order. Each is recorded once.

    It stays unplaced until an order for its session exists; see `portal.orders.unplaced_payments`.
    """

    __tablename__ = "unplaced_payments"
    __table_args__ = (
        UniqueConstraint("mode", "session_id"),
        CheckConstraint(one_of("mode", *Mode), "mode"),
        # What the scheduled task asks for: the prices that grant a tier are few.
        Index(
            "ix_unplaced_payments_to_try",
            "price_id",
            "next_try_at",
            sqlite_where=TO_TRY,
            postgresql_where=TO_TRY,
        ),
    )

    id: Mapped[pk]
    mode: Mapped[mode]
    session_id: Mapped[str] = mapped_column(String(255))
    price_id: Mapped[str | None] = mapped_column(String(255))  # null: its session names no price
    # the tier that its product or price seems to sell; null: unknown
    tier: Mapped[str | None] = mapped_column(String(64))
    amount: Mapped[amount]
    currency: Mapped[currency]
    created_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]  # when an admin was done with it, such as after a refund
    # How many times fulfillment was tried once its price had a plan, and when it is tried next. Each try calls
    # Stripe. Null: it has an order, or was tried often enough.
    tries: Mapped[int] = mapped_column(default=0, server_default="0")
    next_try_at: Mapped[datetime | None]
