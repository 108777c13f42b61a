"""The webhook inbox."""

from datetime import datetime
from typing import Self

from sqlalchemy import CheckConstraint, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from portal.enums import N_, State
from portal.models.base import Base, Word, mode, one_of, pk, stripe_id

TO_LOOK = text("next_look_at IS NOT NULL")
WITH_PAYLOAD = text("payload <> '' AND state IN ('processed', 'ignored')")


class EventState(State):
    """What became of a delivered event. Parked: it is about an object that is not ours yet."""

    RECEIVED = "received", N_("Received"), "warning"
    PROCESSED = "processed", N_("Processed"), "positive"
    FAILED = "failed", N_("Failed"), "negative"
    IGNORED = "ignored", N_("Ignored")
    PARKED = "parked", N_("Parked"), "warning"

    @property
    def is_final(self) -> bool:
        """Return whether it is done, so that another delivery is a duplicate."""
        return self in self.final()

    @classmethod
    def final(cls) -> tuple[Self, ...]:
        """Return the states of events that are done."""
        return cls.PROCESSED, cls.IGNORED

    @classmethod
    def waiting(cls) -> tuple[Self, ...]:
        """Return the states of events whose handling is still due."""
        return cls.RECEIVED, cls.FAILED


class StripeEvent(Base):
    """An event that Stripe delivered, and its state. It is done only when its effects are committed."""

    __tablename__ = "stripe_events"
    __table_args__ = (
        UniqueConstraint("mode", "event_id"),
        CheckConstraint(one_of("state", *EventState), "state"),
        Index(None, "state", "id"),
        Index(None, "mode", "customer_ref", "state"),
        # The filters of the admin event list.
        Index(None, "mode", "id"),
        Index(None, "type", "id"),
        Index(None, "received_at"),
        Index(None, "object_id"),
        # What the scheduled task asks for.
        Index("ix_stripe_events_to_look", "next_look_at", sqlite_where=TO_LOOK, postgresql_where=TO_LOOK),
        Index("ix_stripe_events_payload", "received_at", sqlite_where=WITH_PAYLOAD, postgresql_where=WITH_PAYLOAD),
    )

    id: Mapped[pk]
    mode: Mapped[mode]
    event_id: Mapped[stripe_id]
    type: Mapped[str] = mapped_column(String(100))
    object_id: Mapped[str] = mapped_column(String(255))
    customer_ref: Mapped[str | None] = mapped_column(String(255))  # Stripe's customer id, if the object names one
    state: Mapped[EventState] = mapped_column(Word(EventState, 10), default=EventState.RECEIVED)
    error: Mapped[str | None] = mapped_column(Text)  # the last error, or why the event was parked
    attempts: Mapped[int] = mapped_column(default=0)
    failures: Mapped[int] = mapped_column(default=0, server_default="0")  # failed attempts
    duplicates: Mapped[int] = mapped_column(default=0, server_default="0")  # deliveries after it was done
    payload: Mapped[str] = mapped_column(Text)  # as delivered; empty: removed after EVENT_RETENTION_DAYS
    created_at: Mapped[datetime]  # Stripe's own `created`
    received_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]  # when it reached its current state; null while `received`
    # When a parked event is checked again, because what it names may be ours by then; null: not by itself.
    next_look_at: Mapped[datetime | None]
