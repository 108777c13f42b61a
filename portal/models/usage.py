"""Metered usage: what is counted, what was used, and the bills of the months.

A quantity is whole units and billionths of one, both integers: sums of integers are exact on every database.
"""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.models.base import Base, BigId, ExactDecimal, ForSale, amount, currency, mode, one_of, pk
from portal.models.customer import Customer

RUNNING = text("ended_at IS NULL")
STATES = ("claimed", "failed", "invoiced", "paid", "unpaid", "void", "nothing", "unclear")
# A month's sum of such days stays within 64 bits: beyond them SQLite would go on in floating point.
MOST_A_DAY = 10**17


class Meter(ForSale, Base):
    """Something that is counted and billed: `unit_price` in the currency's major unit for each `per` of it."""

    __tablename__ = "meters"

    id: Mapped[pk]
    key: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(String(100))
    unit_price: Mapped[Decimal] = mapped_column(ExactDecimal)
    per: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[currency]
    position: Mapped[int]
    live_product_id: Mapped[str | None] = mapped_column(String(255))
    test_product_id: Mapped[str | None] = mapped_column(String(255))


class UsageEvent(Base):
    """Something that was used, reported under an identifier that counts once for ever.

    No foreign keys: a thousand rows arrive at once, and each key would be looked up for each of them. What they
    would check was checked before.
    """

    __tablename__ = "usage_events"
    __table_args__ = (
        # The monthly aggregation reads this index alone.
        Index("ix_usage_events_billed", "month", "customer_id", "meter_id", "units", "nanos"),
    )

    customer_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    identifier: Mapped[str] = mapped_column(String(100), primary_key=True)
    meter_id: Mapped[int] = mapped_column(Integer)
    units: Mapped[int] = mapped_column(BigInteger)
    nanos: Mapped[int] = mapped_column(Integer)  # billionths of a unit
    occurred_at: Mapped[datetime]
    month: Mapped[int]  # 202611: whose bill it is on; the next open one where it came late


class UsageDay(Base):
    """The sum of a customer's events of one meter and day (UTC), kept beside them so that pages read little."""

    __tablename__ = "usage_days"
    __table_args__ = (CheckConstraint(f"units <= {MOST_A_DAY}", "most"),)

    customer_id: Mapped[int] = mapped_column(
        BigId, ForeignKey("customers.id"), primary_key=True, autoincrement=False
    )
    month: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)  # as the events'
    meter_id: Mapped[int] = mapped_column(BigId, ForeignKey("meters.id"), primary_key=True, autoincrement=False)
    day: Mapped[date] = mapped_column(primary_key=True)
    units: Mapped[int] = mapped_column(BigInteger)
    nanos: Mapped[int] = mapped_column(BigInteger)


class BillingRun(Base):
    """A month that is being billed or was: from `closed_at` on, late usage of it goes on the next bill."""

    __tablename__ = "billing_runs"

    month: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    closed_at: Mapped[datetime]


class MonthlyBill(Base):
    """What a customer owes for a month of usage, written before Stripe is asked for an invoice.

    claimed → invoiced → paid, unpaid or void; failed: Stripe refused, the error says why, the next run tries
    again; nothing: there was nothing to invoice, or credits paid all of it.
    """

    __tablename__ = "monthly_bills"
    __table_args__ = (
        UniqueConstraint("customer_id", "month"),
        CheckConstraint(one_of("state", *STATES), "state"),
        Index(None, "month", "state", "id"),
        Index(None, "state", "unpaid_since"),
    )

    id: Mapped[pk]
    customer_id: Mapped[int] = mapped_column(BigId, ForeignKey("customers.id"))
    mode: Mapped[mode]
    month: Mapped[int]
    amount: Mapped[amount]  # the sum of its lines
    currency: Mapped[currency]
    credits: Mapped[int | None] = mapped_column(BigInteger)  # credits that paid a part; null until it was decided
    credits_amount: Mapped[int] = mapped_column(BigInteger, default=0)  # that part, in minor units
    state: Mapped[str] = mapped_column(String(10), default="claimed")
    attempt: Mapped[int] = mapped_column(default=1)
    invoice_id: Mapped[str | None] = mapped_column(String(255), index=True)  # Stripe's; null until confirmed
    error: Mapped[str | None] = mapped_column(Text)  # why the last try failed
    unpaid_since: Mapped[datetime | None]  # when the time to pay began; null while nothing is overdue
    created_at: Mapped[datetime]

    customer: Mapped[Customer] = relationship(lazy="joined", innerjoin=True)
    lines: Mapped[list["MonthlyBillLine"]] = relationship(order_by="MonthlyBillLine.id")


class MonthlyBillLine(Base):
    """One meter's part of a bill, with the price that it was reckoned by."""

    __tablename__ = "monthly_bill_lines"
    __table_args__ = (UniqueConstraint("bill_id", "meter_id"),)

    id: Mapped[pk]
    bill_id: Mapped[int] = mapped_column(BigId, ForeignKey("monthly_bills.id"))
    meter_id: Mapped[int] = mapped_column(BigId, ForeignKey("meters.id"))
    units: Mapped[int] = mapped_column(BigInteger)
    nanos: Mapped[int] = mapped_column(BigInteger)
    unit_price: Mapped[Decimal] = mapped_column(ExactDecimal)
    per: Mapped[int] = mapped_column(BigInteger)
    amount: Mapped[amount]  # in the bill's currency, rounded once, half up

    meter: Mapped[Meter] = relationship(lazy="joined", innerjoin=True)


class UsageSettings(Base):
    """What a customer chose about usage."""

    __tablename__ = "usage_settings"

    customer_id: Mapped[int] = mapped_column(
        BigId, ForeignKey("customers.id"), primary_key=True, autoincrement=False
    )
    limit_amount: Mapped[int | None] = mapped_column(BigInteger)  # minor units a month; null: no limit
    hard_stop: Mapped[bool] = mapped_column(default=False)  # whether the limit stops usage, or only warns
    credits_first: Mapped[bool] = mapped_column(default=False)  # whether prepaid credits pay usage
    updated_at: Mapped[datetime]


class UsageAgreement(Base):
    """Pay as you go, agreed to: written before its metered subscription is made, one at a time a customer."""

    __tablename__ = "usage_agreements"
    __table_args__ = (
        UniqueConstraint("mode", "subscription_id"),
        Index(
            "uq_usage_agreements_running",
            "customer_id",
            unique=True,
            sqlite_where=RUNNING,
            postgresql_where=RUNNING,
        ),
    )

    id: Mapped[pk]
    customer_id: Mapped[int] = mapped_column(BigId, ForeignKey("customers.id"))
    mode: Mapped[mode]
    params: Mapped[dict[str, Any]]  # what the subscription is made with, word for word
    attempt: Mapped[int] = mapped_column(default=1)
    subscription_id: Mapped[str | None] = mapped_column(String(255))  # null between claim and confirm
    created_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]  # null while it runs
