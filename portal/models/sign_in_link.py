"""Single-use sign-in links, created by the operator's own services."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.models.base import Base, BigId, pk
from portal.models.user import User


class SignInLink(Base):
    """A link that signs in once, stored as a hash."""

    __tablename__ = "sign_in_links"
    __table_args__ = (Index(None, "user_id"), Index(None, "expires_at"))

    id: Mapped[pk]
    user_id: Mapped[int] = mapped_column(BigId, ForeignKey("users.id", ondelete="CASCADE"))
    # null: created by a command
    operator_key_id: Mapped[int | None] = mapped_column(BigId, ForeignKey("operator_keys.id"))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    next: Mapped[str] = mapped_column(String(2048))  # the local path to redirect to
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]  # null until used; it works only once

    user: Mapped[User] = relationship(lazy="joined", innerjoin=True)
