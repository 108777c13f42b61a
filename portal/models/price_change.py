"""Changes of a subscription's price that its customer was told of."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from portal.models.base import Base, BigId, amount, one_of, pk

NOTICED = text("state = 'noticed'")


class PriceChange(Base):
    """The notice that a subscription's price changes with its first renewal at `notice_until` or later.

    A subscription has at most one that was not made yet. `dropped`: it no longer has the price, or has ended.
    """

    __tablename__ = "price_changes"
    __table_args__ = (
        CheckConstraint(one_of("state", "noticed", "done", "dropped"), "state"),
        Index(
            "uq_price_changes_noticed",
            "subscription_id",
            unique=True,
            sqlite_where=NOTICED,
            postgresql_where=NOTICED,
        ),
        Index("ix_price_changes_due", "notice_until", sqlite_where=NOTICED, postgresql_where=NOTICED),
        Index(None, "subscription_id", "id"),
    )

    id: Mapped[pk]
    subscription_id: Mapped[int] = mapped_column(BigId, ForeignKey("subscriptions.id"))
    from_price: Mapped[str] = mapped_column(String(255))  # at Stripe
    to_price: Mapped[str] = mapped_column(String(255))
    amount: Mapped[amount]  # of one unit at the new price, in the subscription's currency
    state: Mapped[str] = mapped_column(String(10), default="noticed")
    notice_until: Mapped[datetime]  # by the customer's clock
    tried_at: Mapped[datetime | None]  # when a scheduled task last began to make it
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
