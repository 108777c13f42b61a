"""What the pages show of Stripe's invoices."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from portal.models.base import Base, BigId, amount, currency, mode, pk, stripe_id


class Invoice(Base):
    """A copy of a Stripe invoice; only a sync writes it. Drafts are not kept: they can still change."""

    __tablename__ = "invoices"
    __table_args__ = (UniqueConstraint("mode", "stripe_id"), Index(None, "customer_id", "created_at"))

    id: Mapped[pk]
    customer_id: Mapped[int] = mapped_column(BigId, ForeignKey("customers.id"))
    mode: Mapped[mode]
    stripe_id: Mapped[stripe_id]
    subscription_id: Mapped[str | None] = mapped_column(String(255))  # Stripe's id; null for manual invoices
    number: Mapped[str | None] = mapped_column(String(100))  # null until finalised
    status: Mapped[str] = mapped_column(String(20))  # open, paid, void, uncollectible
    total: Mapped[amount]
    amount_paid: Mapped[amount]
    amount_due: Mapped[amount]
    currency: Mapped[currency]
    hosted_url: Mapped[str | None] = mapped_column(Text)
    pdf_url: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]  # Stripe's own `created`
    synced_at: Mapped[datetime]
