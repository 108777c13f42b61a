"""Movements of monthly recurring revenue, and the sums of each day."""

from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import BigInteger, CheckConstraint, Date, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from portal.enums import Mode
from portal.models.base import Base, BigId, Word, amount, currency, mode, one_of, pk


class MovementKind(StrEnum):
    """Why the MRR of a subscription changed."""

    OPENING = "opening"  # an import, or an upgrade of the portal, found it
    NEW = "new"
    EXPANSION = "expansion"
    CONTRACTION = "contraction"
    CHURN = "churn"
    REACTIVATION = "reactivation"  # the customer had left and came back

    @property
    def is_change(self) -> bool:
        """Return whether something happened, rather than was found."""
        return self != self.OPENING


class MrrMovement(Base):
    """One change of a subscription's MRR. Database triggers refuse updates and deletes.

    sum(amount) = the newest mrr_after = the subscription's `mrr_booked`, always.
    """

    __tablename__ = "mrr_movements"
    __table_args__ = (
        UniqueConstraint("subscription_id", "number"),
        CheckConstraint(one_of("kind", *MovementKind), "kind"),
        CheckConstraint("amount <> 0", "amount"),
        Index(None, "mode", "counts_on", "id"),
    )

    id: Mapped[pk]
    subscription_id: Mapped[int] = mapped_column(BigId, ForeignKey("subscriptions.id"))
    number: Mapped[int]  # of the subscription's movements: 1, 2, 3, …
    mode: Mapped[mode]
    kind: Mapped[MovementKind] = mapped_column(Word(MovementKind, 12))
    currency: Mapped[currency]
    amount: Mapped[amount]
    mrr_after: Mapped[int] = mapped_column(BigInteger)
    previous_tier: Mapped[str | None] = mapped_column(String(64))  # null: it brought nothing before
    tier: Mapped[str | None] = mapped_column(String(64))  # null: it brings nothing any more
    effective_at: Mapped[datetime]  # when it happened
    counts_on: Mapped[date] = mapped_column(Date)  # the day, UTC, in whose sums it is
    booked_at: Mapped[datetime]


class DailyFigure(Base):
    """The sum of one figure on one day, UTC. Names: see portal.figures."""

    __tablename__ = "daily_figures"
    __table_args__ = (Index(None, "mode", "month"),)

    mode: Mapped[Mode] = mapped_column(Word(Mode, 4), primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    name: Mapped[str] = mapped_column(String(150), primary_key=True)
    currency: Mapped[str] = mapped_column(String(3), primary_key=True)  # empty: a count, or credits
    month: Mapped[int]  # 202611, of the day
    amount: Mapped[int] = mapped_column(BigInteger)  # minor units of the currency, whole credits, or a count
