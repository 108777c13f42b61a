"""Mails waiting to be sent."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.models.base import Base, BigId, pk
from portal.models.user import User


class OutboxMail(Base):
    """A mail, written in the transaction of what it reports and sent afterwards.

    `key` names what is reported, so that the same thing is never mailed twice. Only the template's name
    and its facts stand here: a link's token is minted while sending, so that it is nowhere in the clear.
    """

    __tablename__ = "outbox_mails"
    __table_args__ = (Index(None, "sent_at", "id"),)

    id: Mapped[pk]
    key: Mapped[str] = mapped_column(String(200), unique=True)
    # Null: `to` belongs to nobody's account.
    user_id: Mapped[int | None] = mapped_column(BigId, ForeignKey("users.id", ondelete="CASCADE"))
    to: Mapped[str | None] = mapped_column(String(254))  # null: the user's own address; forgotten once it is sent
    template: Mapped[str] = mapped_column(String(50))
    context: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]  # null: still to be sent
    attempts: Mapped[int] = mapped_column(default=0)
    next_try_at: Mapped[datetime | None]  # null: at once

    user: Mapped[User | None] = relationship(lazy="joined")
