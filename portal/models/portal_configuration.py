"""What Stripe's own portal lets customers do."""

from datetime import datetime
from typing import Any

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from portal.models.base import Base, stripe_id


class PortalConfiguration(Base):
    """The pinned configuration of a mode: every session of Stripe's portal that we open has it."""

    __tablename__ = "portal_configurations"

    mode: Mapped[str] = mapped_column(String(4), primary_key=True)
    stripe_id: Mapped[stripe_id]
    features: Mapped[dict[str, Any]]  # as last pushed
    updated_at: Mapped[datetime]
