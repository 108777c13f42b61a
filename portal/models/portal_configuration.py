"""What customers can do in the Stripe customer portal."""

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Mapped, mapped_column

from portal.enums import Mode
from portal.models.base import Base, Word, stripe_id


class PortalConfiguration(Base):
    """A mode's portal configuration, used by every Stripe portal session that we create."""

    __tablename__ = "portal_configurations"

    mode: Mapped[Mode] = mapped_column(Word(Mode, 4), primary_key=True)
    stripe_id: Mapped[stripe_id]
    features: Mapped[dict[str, Any]]  # as last pushed
    updated_at: Mapped[datetime]
