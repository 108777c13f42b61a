"""A change of a user's email address, which both addresses have to confirm."""

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.models.base import Base, BigId
from portal.models.user import User


class EmailChange(Base):
    """The one email change that a user has requested. The row is deleted when the change is made or refused."""

    __tablename__ = "email_changes"

    user_id: Mapped[int] = mapped_column(BigId, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    new_email: Mapped[str] = mapped_column(String(254))  # lower case
    requested_at: Mapped[datetime]
    approved_at: Mapped[datetime | None]  # by the link that was mailed to the old address
    confirmed_at: Mapped[datetime | None]  # by the link that was mailed to the new address

    user: Mapped[User] = relationship(lazy="joined", innerjoin=True)
