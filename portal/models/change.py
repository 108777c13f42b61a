"""What customers asked for about their subscriptions."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from portal.models.base import Base, BigId, mode, one_of, pk, stripe_id

OPEN = text("state IN ('open', 'paying')")


class SubscriptionChange(Base):
    """A change of a subscription, written before Stripe is told of it. Of two at once the index lets one in.

    `params` is what Stripe is told, word for word: a repeated call is made from the row alone.
    """

    __tablename__ = "subscription_changes"
    __table_args__ = (
        CheckConstraint(one_of("mode", "live", "test"), "mode"),
        CheckConstraint(one_of("kind", "cancel", "resume", "change", "schedule", "unschedule"), "kind"),
        CheckConstraint(one_of("state", "open", "paying", "done", "failed", "unclear"), "state"),
        Index(
            "uq_subscription_changes_one_open",
            "mode",
            "subscription_id",
            unique=True,
            sqlite_where=OPEN,
            postgresql_where=OPEN,
        ),
        Index(None, "customer_id", "id"),
    )

    id: Mapped[pk]
    customer_id: Mapped[int] = mapped_column(BigId, ForeignKey("customers.id"))
    mode: Mapped[mode]
    subscription_id: Mapped[stripe_id]
    kind: Mapped[str] = mapped_column(String(10))
    params: Mapped[dict[str, Any]]
    attempt: Mapped[int] = mapped_column(default=1)  # part of the idempotency keys of its calls
    state: Mapped[str] = mapped_column(String(10), default="open")
    called_at: Mapped[datetime | None]  # when a call began; null once it ended without an answer
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
