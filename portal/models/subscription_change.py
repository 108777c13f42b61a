"""Changes that customers requested to their subscriptions."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from portal.enums import Mode
from portal.models.base import Base, BigId, mode, one_of, pk, stripe_id

OPEN = text("state IN ('open', 'paying')")


class SubscriptionChange(Base):
    """A change of a subscription, written before the call to Stripe. A unique index allows one open change at a
    time.

    `params` are the exact parameters for Stripe, so a repeated call is made from the row alone.
    """

    __tablename__ = "subscription_changes"
    __table_args__ = (
        CheckConstraint(one_of("mode", *Mode), "mode"),
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
        Index(None, "state", "called_at"),  # what the scheduled tasks ask for
    )

    id: Mapped[pk]
    customer_id: Mapped[int] = mapped_column(BigId, ForeignKey("customers.id"))
    mode: Mapped[mode]
    subscription_id: Mapped[stripe_id]
    kind: Mapped[str] = mapped_column(String(10))
    params: Mapped[dict[str, Any]]
    attempt: Mapped[int] = mapped_column(default=1)  # part of the idempotency keys of its calls
    state: Mapped[str] = mapped_column(String(10), default="open")
    # When the current call began, or null once it ended without an answer. In the state `paying`: when Stripe was
    # last asked.
    called_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
