"""What a plan includes, as it was sold: for each period of a subscription, and what was given of it."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    String,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.enums import Mode
from portal.models.base import Base, BigId, mode, one_of, pk, stripe_id

DUE = text("next_at IS NOT NULL")


class PlanPeriod(Base):
    """A period of a subscription on one plan, with the numbers that it was sold with.

    They are copied from the catalogue when the period begins. An upgrade within the period begins another row.
    """

    __tablename__ = "plan_periods"
    __table_args__ = (
        # Stripe's periods of one subscription end at different times; an upgrade has another price.
        UniqueConstraint("mode", "subscription_id", "ends_at", "price_id"),
        CheckConstraint(one_of("mode", *Mode), "mode"),
        Index(None, "customer_id", "ends_at"),
        Index(None, "mode", "invoice_id"),
        Index("ix_plan_periods_due", "next_at", sqlite_where=DUE, postgresql_where=DUE),
    )

    id: Mapped[pk]
    customer_id: Mapped[int] = mapped_column(BigId, ForeignKey("customers.id"))
    mode: Mapped[mode]
    subscription_id: Mapped[stripe_id]
    price_id: Mapped[str] = mapped_column(String(255))
    tier: Mapped[str] = mapped_column(String(64))
    is_trial: Mapped[bool]
    starts_at: Mapped[datetime]  # the subscription's period at Stripe
    ends_at: Mapped[datetime]
    anchor_at: Mapped[datetime]  # its day is the day of each month on which the next month begins
    from_at: Mapped[datetime]  # when this plan began: later than `starts_at` after an upgrade
    # when another plan took its place, or the subscription ended; null: it lasts until `ends_at`
    ended_at: Mapped[datetime | None]
    credits: Mapped[int] = mapped_column(BigInteger)  # a month; in a trial, for all of it
    rollover: Mapped[int]  # months for which unused credits are kept
    included: Mapped[dict[str, Any]]  # meter → units of each calendar month
    invoice_id: Mapped[str | None] = mapped_column(String(255))  # Stripe's id of what paid it; null: not paid yet
    paid_at: Mapped[datetime | None]
    next_at: Mapped[datetime | None]  # when its next month of credits begins; null: nothing more is due
    created_at: Mapped[datetime]


class PeriodCredits(Base):
    """The credits of one month of a paid period: given once, and taken back with the payment.

    `from_at` to `until_at` is the part of the month that was paid for, all of it unless the plan was upgraded.
    """

    __tablename__ = "period_credits"
    __table_args__ = (UniqueConstraint("period_id", "starts_at"), Index(None, "customer_id", "until_at"))

    id: Mapped[pk]
    customer_id: Mapped[int] = mapped_column(BigId, ForeignKey("customers.id"))
    period_id: Mapped[int] = mapped_column(BigId, ForeignKey("plan_periods.id"))
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    from_at: Mapped[datetime]
    until_at: Mapped[datetime]
    level: Mapped[int] = mapped_column(BigInteger)  # the plan's credits a month
    credits: Mapped[int] = mapped_column(BigInteger)  # what was given: less than `level` after an upgrade
    expires_at: Mapped[datetime]
    # null: nothing was given, because the difference was nothing or the date had passed
    grant_id: Mapped[int | None] = mapped_column(BigId, ForeignKey("credit_grants.id"), unique=True)
    # unspent credits that refunds and disputes have taken out of the grant
    withheld: Mapped[int] = mapped_column(BigInteger, default=0)
    created_at: Mapped[datetime]

    period: Mapped[PlanPeriod] = relationship(lazy="joined", innerjoin=True)


class IncludedUnits(Base):
    """The units of a meter that a month includes, kept from the first report that used them without an agreement.

    Nobody agreed to pay for such usage, so the number does not fall later. The row is also what concurrent reports
    wait for.
    """

    __tablename__ = "included_units"

    customer_id: Mapped[int] = mapped_column(
        BigId, ForeignKey("customers.id"), primary_key=True, autoincrement=False
    )
    month: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)  # as for usage_days
    meter_id: Mapped[int] = mapped_column(BigId, ForeignKey("meters.id"), primary_key=True, autoincrement=False)
    units: Mapped[int] = mapped_column(BigInteger)
