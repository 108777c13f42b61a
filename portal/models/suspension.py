"""Why a customer is suspended: one row per reason, lifted when the reason no longer applies."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from portal.models.base import Base, BigId, one_of, pk

OPEN = text("lifted_at IS NULL")


class SuspensionReason(StrEnum):
    """Why a customer is suspended."""

    SUBSCRIPTION_ENDED = "subscription_ended"
    NO_PAYMENT_METHOD = "no_payment_method"
    UNPAID = "unpaid"
    DISPUTE = "dispute"
    ADMIN = "admin"

    @property
    def words(self) -> str:
        """Return the sentence that tells the customer about it."""
        return WORDS[self]

    @property
    def is_lifted_by_admin(self) -> bool:
        """Return whether an admin lifts it. The other reasons end with a card, a payment or a purchase."""
        return self in (SuspensionReason.DISPUTE, SuspensionReason.ADMIN)


WORDS = {
    SuspensionReason.SUBSCRIPTION_ENDED: "Your pay-as-you-go agreement has ended.",
    SuspensionReason.NO_PAYMENT_METHOD: "There is no payment method.",
    SuspensionReason.UNPAID: "A bill for usage was not paid in time.",
    SuspensionReason.DISPUTE: "A payment was disputed with your bank. Please write to us.",
    SuspensionReason.ADMIN: "We suspended this account. Please write to us.",
}


class Suspension(Base):
    """One reason for which a customer is suspended, from `created_at` to `lifted_at`.

    `customers.suspended_at` is set while at least one is open. Requests with an API key read only that column.
    """

    __tablename__ = "suspensions"
    __table_args__ = (
        CheckConstraint(one_of("reason", *SuspensionReason), "reason"),
        Index(
            "uq_suspensions_open",
            "customer_id",
            "reason",
            unique=True,
            sqlite_where=OPEN,
            postgresql_where=OPEN,
        ),
        Index("ix_suspensions_open_reason", "reason", "id", sqlite_where=OPEN, postgresql_where=OPEN),
        Index(None, "customer_id", "id"),
    )

    id: Mapped[pk]
    customer_id: Mapped[int] = mapped_column(BigId, ForeignKey("customers.id"))
    reason: Mapped[str] = mapped_column(String(20))  # a SuspensionReason
    about: Mapped[str] = mapped_column(String(255), default="")  # the object's id, at Stripe or here
    created_at: Mapped[datetime]
    lifted_at: Mapped[datetime | None]  # null: open
