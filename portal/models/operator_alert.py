"""Alerts to operators."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from portal.models.base import Base, pk

GOING_ON = text("ended_at IS NULL")
TO_TELL = text("next_try_at IS NOT NULL")


class OperatorAlert(Base):
    """An alert, from its begin to its end. Of one name and host, only one goes on."""

    __tablename__ = "operator_alerts"
    __table_args__ = (
        Index(
            "uq_operator_alerts_going_on",
            "name",
            "host",
            unique=True,
            sqlite_where=GOING_ON,
            postgresql_where=GOING_ON,
        ),
        Index("ix_operator_alerts_to_tell", "next_try_at", sqlite_where=TO_TELL, postgresql_where=TO_TELL),
    )

    id: Mapped[pk]
    name: Mapped[str] = mapped_column(String(40))
    host: Mapped[str] = mapped_column(String(100))  # whose processes measured it; empty: it is about the database
    words: Mapped[str] = mapped_column(String(255))
    began_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    # What each chat webhook was told last, "began" or "ended", by a hash of its URL, which is a secret.
    told: Mapped[dict[str, Any]] = mapped_column(default=dict)
    next_try_at: Mapped[datetime | None]  # when the chat webhooks are called; null: all were told
