"""API keys."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.models.base import Base, BigId, pk
from portal.models.customer import Customer


class ApiKey(Base):
    """A customer's key. The secret exists once, in the response that shows it; here is its hash."""

    __tablename__ = "api_keys"
    __table_args__ = (Index(None, "customer_id", "id"),)

    id: Mapped[pk]
    customer_id: Mapped[int] = mapped_column(BigId, ForeignKey("customers.id"))
    name: Mapped[str] = mapped_column(String(100))
    prefix: Mapped[str] = mapped_column(String(24))  # the secret's beginning, enough to recognise it
    hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]  # to the minute
    expires_at: Mapped[datetime | None]  # null: never
    revoked_at: Mapped[datetime | None]

    customer: Mapped[Customer] = relationship(lazy="joined", innerjoin=True)
