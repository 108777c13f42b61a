"""The audit log: who did what, append-only."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from portal.models.base import Base, BigId, one_of, pk

# A user, a customer's API key, an operator key, a Stripe event, a command, or a scheduled task.
ACTORS = ("user", "key", "operator", "stripe", "command", "clock")
BY_AN_EVENT = text("event_id IS NOT NULL")
ABOUT_A_USER = text("user_id IS NOT NULL")


class AuditEntry(Base):
    """A recorded action. It holds ids and facts, never personal data, because it outlives a deleted account."""

    __tablename__ = "audit_entries"
    __table_args__ = (
        CheckConstraint(one_of("actor", *ACTORS), "actor"),
        Index(None, "customer_id", "id"),
        Index(None, "actor_id", "id"),
        Index(None, "action", "id"),
        Index(None, "at", "id"),
        Index("ix_audit_entries_user", "user_id", "id", sqlite_where=ABOUT_A_USER, postgresql_where=ABOUT_A_USER),
        Index("ix_audit_entries_event", "event_id", sqlite_where=BY_AN_EVENT, postgresql_where=BY_AN_EVENT),
    )

    id: Mapped[pk]
    at: Mapped[datetime]
    action: Mapped[str] = mapped_column(String(60))  # a noun and what happened to it: "key.revoked"
    actor: Mapped[str] = mapped_column(String(10))  # one of ACTORS
    actor_id: Mapped[int | None] = mapped_column(BigId)  # the id of the user or key; null for other actors
    # No foreign key: users are never deleted, only anonymized, and a foreign key would cost each writer a lookup.
    user_id: Mapped[int | None] = mapped_column(BigId)  # the affected user, if the action concerns an account
    # the affected customer, in one mode
    customer_id: Mapped[int | None] = mapped_column(BigId, ForeignKey("customers.id"))
    subject: Mapped[str] = mapped_column(String(255), default="")  # the object's id, Stripe's or ours
    before: Mapped[dict[str, Any]]
    after: Mapped[dict[str, Any]]
    network: Mapped[str] = mapped_column(String(45), default="")  # the client's address without its last part
    request_id: Mapped[str] = mapped_column(String(64), default="")
    event_id: Mapped[str | None] = mapped_column(String(255))  # the Stripe event that caused it; null: none did
    # Identifies what is reported if the same report can happen again (a sync can move back and forth); otherwise
    # null.
    key: Mapped[str | None] = mapped_column(String(255), unique=True)


class AuditSeal(Base):
    """A hash over all entries since the previous seal, and over that seal. It no longer matches if an entry is
    changed.
    """

    __tablename__ = "audit_seals"
    __table_args__ = (Index("uq_audit_seals_first_id", "first_id", unique=True),)

    id: Mapped[pk]
    first_id: Mapped[int] = mapped_column(BigId)  # the first entry that it covers
    # unique, so concurrent sealing writes only one seal here
    last_id: Mapped[int] = mapped_column(BigId, unique=True)
    entries: Mapped[int]  # the number of entries: ids have gaps after a rollback
    digest: Mapped[str] = mapped_column(String(64))
    sealed_at: Mapped[datetime]
