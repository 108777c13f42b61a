"""The audit log: who did what, append-only."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from portal.models.base import Base, BigId, one_of, pk

# A person, a customer's API key, an operator key, Stripe's word, a command, or time itself.
ACTORS = ("user", "key", "operator", "stripe", "command", "clock")
BY_AN_EVENT = text("event_id IS NOT NULL")
ABOUT_A_USER = text("user_id IS NOT NULL")


class AuditEntry(Base):
    """One thing that was done. It holds ids and facts, never personal data: it outlives a deleted account."""

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
    action: Mapped[str] = mapped_column(String(60))  # noun and what became of it: "key.revoked"
    actor: Mapped[str] = mapped_column(String(10))  # one of ACTORS
    actor_id: Mapped[int | None] = mapped_column(BigId)  # the id of the user or of the key; null for the others
    # Users are never deleted, only made anonymous: no foreign key that a writer would have to look up.
    user_id: Mapped[int | None] = mapped_column(BigId)  # on whom, where it is about a person's account
    customer_id: Mapped[int | None] = mapped_column(BigId, ForeignKey("customers.id"))  # on whom, in one mode
    subject: Mapped[str] = mapped_column(String(255), default="")  # the object's id, Stripe's or ours
    before: Mapped[dict[str, Any]]
    after: Mapped[dict[str, Any]]
    network: Mapped[str] = mapped_column(String(45), default="")  # where from: the address without its last part
    request_id: Mapped[str] = mapped_column(String(64), default="")
    event_id: Mapped[str | None] = mapped_column(String(255))  # Stripe's event that brought it; null: none did
    # What is reported, where the same may be reported again (a sync may step back and forth); else null.
    key: Mapped[str | None] = mapped_column(String(255), unique=True)


class AuditSeal(Base):
    """A hash over all entries since the seal before it, and over that seal: what is changed later does not fit."""

    __tablename__ = "audit_seals"
    __table_args__ = (Index("uq_audit_seals_first_id", "first_id", unique=True),)

    id: Mapped[pk]
    first_id: Mapped[int] = mapped_column(BigId)  # of the entries that it covers
    last_id: Mapped[int] = mapped_column(BigId, unique=True)  # one seal ends there, however many seal at once
    entries: Mapped[int]  # how many there were: ids have gaps, where a transaction was rolled back
    digest: Mapped[str] = mapped_column(String(64))
    sealed_at: Mapped[datetime]
