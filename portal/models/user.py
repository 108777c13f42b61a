"""Users, their sessions, and the single-use tokens in emails."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, Text, false, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.models.base import Base, BigId, one_of, pk

ROLES = ("customer", "support", "admin")
LEAVING = text("deleted_at IS NOT NULL AND erased_at IS NULL")
CLAIMED = text("password_hash IS NOT NULL")
TAKEN_OVER = text("taken_over_by IS NOT NULL")


class User(Base):
    """A person who signs in, or an unclaimed user: one without a password, whose address waits for its owner.

    An order, import or grant for an address that no account has verified creates a new unclaimed user each time.
    So an address is unique among claimed users only, and every lookup has to say which kind it means.
    """

    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint(one_of("role", *ROLES), "role"),
        Index("uq_users_email", "email", unique=True, sqlite_where=CLAIMED, postgresql_where=CLAIMED),
        Index(None, "email"),
        Index("ix_users_taken_over_by", "taken_over_by", sqlite_where=TAKEN_OVER, postgresql_where=TAKEN_OVER),
        Index("ix_users_leaving", "deleted_at", sqlite_where=LEAVING, postgresql_where=LEAVING),
    )

    id: Mapped[pk]
    email: Mapped[str] = mapped_column(String(254))  # lower case
    name: Mapped[str] = mapped_column(String(200), default="")
    password_hash: Mapped[str | None] = mapped_column(String(255))
    role: Mapped[str] = mapped_column(String(10), default="customer", server_default="customer")
    timezone: Mapped[str] = mapped_column(String(64), default="UTC")
    verified_at: Mapped[datetime | None]  # when the address was first proven; null until then
    # Set if that proof came from somebody without a session or password. Everything from before ended then.
    begun_anew_at: Mapped[datetime | None]
    # For an unclaimed user whose address was verified: the account that took over its orders, or that said it does
    # not own the address.
    taken_over_by: Mapped[int | None] = mapped_column(BigId, ForeignKey("users.id"))
    disowned_at: Mapped[datetime | None]
    # encrypted; null: no authenticator app was set up
    totp_seed: Mapped[str | None] = mapped_column(Text, deferred=True)
    totp_step: Mapped[int | None] = mapped_column(BigInteger)  # of the last accepted code: each code works once
    second_factor_at: Mapped[datetime | None]  # null: sign-in asks only for the password
    created_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]  # the remaining data names no person
    erased_at: Mapped[datetime | None]  # when stored Stripe events were anonymized too; null until some days later

    @property
    def is_claimed(self) -> bool:
        """Return whether a person has set a password. Until then nobody can sign in."""
        return self.password_hash is not None

    @property
    def is_waiting(self) -> bool:
        """Return whether it is an unclaimed user that nobody has decided about."""
        return not (self.is_claimed or self.deleted_at or self.taken_over_by or self.disowned_at)

    @property
    def is_proven(self) -> bool:
        """Return whether it is an account with a verified address."""
        return self.is_claimed and self.verified_at is not None

    def trusts_card(self, saved_at: datetime | None) -> bool:
        """Return whether a payment method saved at this time may be charged for something new.

        A payment method from before the first proof may belong to whoever created the account. Stripe counts whole
        seconds.
        """
        if self.begun_anew_at is None:
            return True
        return saved_at is not None and saved_at >= self.begun_anew_at.replace(microsecond=0)

    @property
    def is_admin(self) -> bool:
        """Return whether the user may do everything."""
        return self.role == "admin"

    @property
    def is_support(self) -> bool:
        """Return whether the user may view customers' accounts, but not move money."""
        return self.role == "support"

    @property
    def has_second_factor(self) -> bool:
        """Return whether sign-in asks for a code after the password."""
        return self.second_factor_at is not None


class UserSession(Base):
    """One signed-in browser or program.

    A browser's cookie holds a random token, and this row its hash. A program's tokens name this row. Ending the
    session invalidates both.
    """

    __tablename__ = "user_sessions"
    __table_args__ = (Index(None, "user_id", "ended_at"), Index(None, "expires_at"))

    id: Mapped[pk]
    user_id: Mapped[int] = mapped_column(BigId, ForeignKey("users.id", ondelete="CASCADE"))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    is_program: Mapped[bool] = mapped_column(
        default=False, server_default=false()
    )  # it holds tokens of the JSON API
    user_agent: Mapped[str] = mapped_column(String(255), default="")
    address: Mapped[str] = mapped_column(String(45), default="")
    created_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    confirmed_at: Mapped[datetime | None]  # when the password was last entered; null while a code is awaited
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]  # null while the session is active

    user: Mapped[User] = relationship(lazy="joined", innerjoin=True)


class RecoveryCode(Base):
    """A code that replaces a lost second factor once, stored as a hash."""

    __tablename__ = "recovery_codes"
    __table_args__ = (Index(None, "user_id"),)

    id: Mapped[pk]
    user_id: Mapped[int] = mapped_column(BigId, ForeignKey("users.id", ondelete="CASCADE"))
    code_hash: Mapped[str] = mapped_column(String(64), unique=True)
    used_at: Mapped[datetime | None]  # null until used; it works only once


class MailToken(Base):
    """A single-use link sent by email, stored as a hash."""

    __tablename__ = "mail_tokens"
    __table_args__ = (
        CheckConstraint(one_of("purpose", "verify", "reset", "claim", "email_old", "email_new"), "purpose"),
        Index(None, "user_id", "purpose"),
    )

    id: Mapped[pk]
    user_id: Mapped[int] = mapped_column(BigId, ForeignKey("users.id", ondelete="CASCADE"))
    purpose: Mapped[str] = mapped_column(String(10))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]  # null until followed; it works only once

    user: Mapped[User] = relationship()


class RefreshToken(Base):
    """A refresh token of a program's session, valid once, for the next pair. If it is used again, it was
    stolen.
    """

    __tablename__ = "refresh_tokens"
    __table_args__ = (Index(None, "session_id"), Index(None, "expires_at"))

    id: Mapped[pk]
    session_id: Mapped[int] = mapped_column(BigId, ForeignKey("user_sessions.id", ondelete="CASCADE"))
    jti_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]  # null until the next pair was issued
