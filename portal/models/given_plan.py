"""Plans that were given to customers without a payment."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from portal.models.base import Base, BigId, pk

OPEN = text("ended_at IS NULL")


class GivenPlan(Base):
    """A plan that an admin gave to a customer. A customer has at most one that has not ended."""

    __tablename__ = "given_plans"
    __table_args__ = (
        Index("uq_given_plans_open", "customer_id", unique=True, sqlite_where=OPEN, postgresql_where=OPEN),
        Index("ix_given_plans_due", "until", sqlite_where=OPEN, postgresql_where=OPEN),
        Index(None, "customer_id", "id"),
    )

    id: Mapped[pk]
    customer_id: Mapped[int] = mapped_column(BigId, ForeignKey("customers.id"))
    tier: Mapped[str] = mapped_column(String(64))
    until: Mapped[datetime | None]  # null: until an admin ends it
    created_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]  # null while it gives access
