"""Browsers that have signed in to an account before."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from portal.models.base import Base, BigId


class KnownDevice(Base):
    """A browser that has signed in to an account, identified by the hash of a random cookie. It grants no access.

    It has its own limit of password attempts, which strangers cannot use up. One browser may know several
    accounts.
    """

    __tablename__ = "known_devices"
    __table_args__ = (Index(None, "user_id"), Index(None, "seen_at"))

    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[int] = mapped_column(
        BigId, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    seen_at: Mapped[datetime]  # the last sign-in
