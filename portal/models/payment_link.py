"""Payment Links: a Stripe-hosted address that sells one price without a website."""

from datetime import datetime

from sqlalchemy import CheckConstraint, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from portal.enums import Mode
from portal.models.base import Base, mode, one_of, pk


class PaymentLink(Base):
    """A Payment Link that we created. The orders of its sessions are written when the sessions arrive."""

    __tablename__ = "payment_links"
    __table_args__ = (
        UniqueConstraint("mode", "stripe_id"),
        CheckConstraint(one_of("mode", *Mode), "mode"),
    )

    id: Mapped[pk]
    mode: Mapped[mode]
    price_id: Mapped[str] = mapped_column(String(255))  # the Stripe price it sells
    tier: Mapped[str] = mapped_column(String(64))
    success_url: Mapped[str] = mapped_column(Text)
    stripe_id: Mapped[str | None] = mapped_column(String(255))  # null between claim and confirm
    url: Mapped[str | None] = mapped_column(Text)
    attempt: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime]
