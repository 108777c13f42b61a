"""Who signs in: users, their sessions, and the single-use tokens that mails carry."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.models.base import Base, BigId, one_of, pk


class User(Base):
    """A person who signs in. `password_hash` is null until an account made by a payment is claimed."""

    __tablename__ = "users"

    id: Mapped[pk]
    email: Mapped[str] = mapped_column(String(254), unique=True)  # lower case
    name: Mapped[str] = mapped_column(String(200), default="")
    password_hash: Mapped[str | None] = mapped_column(String(255))
    is_admin: Mapped[bool] = mapped_column(default=False)
    timezone: Mapped[str] = mapped_column(String(64), default="UTC")
    verified_at: Mapped[datetime | None]  # null until the mailed link was followed
    created_at: Mapped[datetime]

    @property
    def is_claimed(self) -> bool:
        """Whether a person has set a password; until then nobody can sign in."""
        return self.password_hash is not None


class UserSession(Base):
    """One signed-in browser. The cookie holds a random token, this row its hash: ending it kills the cookie."""

    __tablename__ = "user_sessions"
    __table_args__ = (Index(None, "user_id", "ended_at"),)

    id: Mapped[pk]
    user_id: Mapped[int] = mapped_column(BigId, ForeignKey("users.id", ondelete="CASCADE"))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    user_agent: Mapped[str] = mapped_column(String(255), default="")
    address: Mapped[str] = mapped_column(String(45), default="")
    created_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]  # null while the session lives

    user: Mapped[User] = relationship(lazy="joined", innerjoin=True)


class MailToken(Base):
    """A single-use link sent by mail, stored as a hash."""

    __tablename__ = "mail_tokens"
    __table_args__ = (
        CheckConstraint(one_of("purpose", "verify", "reset", "claim"), "purpose"),
        Index(None, "user_id", "purpose"),
    )

    id: Mapped[pk]
    user_id: Mapped[int] = mapped_column(BigId, ForeignKey("users.id", ondelete="CASCADE"))
    purpose: Mapped[str] = mapped_column(String(10))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]  # null until followed; never again afterwards

    user: Mapped[User] = relationship()
