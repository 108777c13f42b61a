"""Emails waiting to be sent."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.models.base import Base, BigId, pk
from portal.models.user import User

WITH_FACTS = text("sent_at IS NOT NULL AND CAST(context AS TEXT) <> '{}'")


class OutboxMail(Base):
    """An email, written in the same transaction as the change that it reports and sent afterwards.

    `key` identifies what is reported, so the same thing is never mailed twice. Only the template's name and its
    facts are stored: a link's token is created while sending, so it is never stored in the clear.
    """

    __tablename__ = "outbox_mails"
    __table_args__ = (
        Index(None, "sent_at", "id"),
        Index("ix_outbox_mails_facts", "sent_at", sqlite_where=WITH_FACTS, postgresql_where=WITH_FACTS),
    )

    id: Mapped[pk]
    key: Mapped[str] = mapped_column(String(200), unique=True)
    # Null: `to` belongs to no account.
    user_id: Mapped[int | None] = mapped_column(BigId, ForeignKey("users.id", ondelete="CASCADE"))
    # null: the user's own address; erased once the mail is sent
    to: Mapped[str | None] = mapped_column(String(254))
    template: Mapped[str] = mapped_column(String(50))
    context: Mapped[dict[str, Any]]  # empty: removed EVENT_RETENTION_DAYS after it was sent
    created_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]  # null: still to be sent
    attempts: Mapped[int] = mapped_column(default=0)
    next_try_at: Mapped[datetime | None]  # null: immediately

    user: Mapped[User | None] = relationship(lazy="joined")
