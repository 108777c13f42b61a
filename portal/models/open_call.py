"""Calls to Stripe whose outcome is not known."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from portal.models.base import Base, BigId, mode, pk

OPEN = text("settled_at IS NULL")


class OpenCall(Base):
    """One step of a claim whose call to Stripe may or may not have taken effect.

    `claim` is the first word of the claim's idempotency keys, `claim_id` its row. While `opened_at` is null, the
    same key is repeated. Afterwards the key proves nothing, and the effect is looked for at Stripe. From
    `unclear_at` on, an admin decides.
    """

    __tablename__ = "open_calls"
    __table_args__ = (
        Index(
            "uq_open_calls_open",
            "claim",
            "claim_id",
            "step",
            unique=True,
            sqlite_where=OPEN,
            postgresql_where=OPEN,
        ),
        Index("ix_open_calls_customer", "customer_id", sqlite_where=OPEN, postgresql_where=OPEN),
    )

    id: Mapped[pk]
    mode: Mapped[mode]
    # null: it belongs to no customer
    customer_id: Mapped[int | None] = mapped_column(BigId, ForeignKey("customers.id"))
    claim: Mapped[str] = mapped_column(String(40))
    claim_id: Mapped[int] = mapped_column(BigId)
    step: Mapped[str] = mapped_column(String(64), default="")
    reason: Mapped[str | None] = mapped_column(String(20))  # why the key proves nothing; null while it is repeated
    named: Mapped[str] = mapped_column(String(255), default="")  # the object at Stripe that an admin named
    called_at: Mapped[datetime]  # when the attempt's key was first used: Stripe keeps a key for a day
    opened_at: Mapped[datetime | None]
    unclear_at: Mapped[datetime | None]
    settled_at: Mapped[datetime | None]
