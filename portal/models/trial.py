"""Free trials, which each customer and each card has once."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.models.base import Base, BigId, mode, one_of, pk, stripe_id
from portal.models.customer import Customer


class TrialUse(Base):
    """A trial that a subscription began with. Of several with one card or customer the first is `granted`.

    A later one is `refused`: claimed by this row, ended at Stripe, then `ended`.
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
    fingerprint: Mapped[str | None] = mapped_column(String(64))  # null: no card yet, or one that had its trial
    state: Mapped[str] = mapped_column(String(10), default="granted", index=True)
    attempt: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]  # when a refused one was ended, by the customer's clock

    customer: Mapped[Customer] = relationship(lazy="joined", innerjoin=True)
