"""A change of a user's mail address, which both addresses have to confirm."""

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.models.base import Base, BigId
from portal.models.user import User


class EmailChange(Base):
    """The one change that a user has asked for; the row goes once it is made or refused."""

    __tablename__ = "email_changes"

    user_id: Mapped[int] = mapped_column(BigId, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    new_email: Mapped[str] = mapped_column(String(254))  # lower case
    requested_at: Mapped[datetime]
    approved_at: Mapped[datetime | None]  # by the mailed link to the old address
    confirmed_at: Mapped[datetime | None]  # by the one to the new address

    user: Mapped[User] = relationship(lazy="joined", innerjoin=True)
