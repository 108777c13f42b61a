"""Free trials, which each customer and each card can use once."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.models.base import Base, BigId, mode, one_of, pk, stripe_id
from portal.models.customer import Customer


class TrialUse(Base):
    """A trial that a subscription began with. Only the first one with a card or customer is `granted`.

    A later one is `refused`: this row claims it, it is ended at Stripe, and then it is `ended`.
    """

    __tablename__ = "trial_uses"
    __table_args__ = (
        UniqueConstraint("mode", "subscription_id"),
        UniqueConstraint("mode", "fingerprint"),
        CheckConstraint(one_of("state", "granted", "refused", "ended"), "state"),
    )

    id: Mapped[pk]
    mode: Mapped[mode]
    customer_id: Mapped[int] = mapped_column(BigId, ForeignKey("customers.id"), index=True)
    subscription_id: Mapped[stripe_id]
    # null: no card yet, or a card that already had its trial
    fingerprint: Mapped[str | None] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(10), default="granted", index=True)
    attempt: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]  # when a refused trial was ended, by the customer's clock

    customer: Mapped[Customer] = relationship(lazy="joined", innerjoin=True)
