"""Metered usage: meters, usage events, and monthly bills.

A quantity is stored as whole units and billionths of a unit, both integers: sums of integers are exact on every
database.
"""

from datetime import date, datetime
from decimal import Decimal
from typing import Any, Self

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.enums import N_, State
from portal.models.base import Base, BigId, ExactDecimal, ForSale, Word, amount, currency, mode, one_of, pk
from portal.models.customer import Customer

RUNNING = text("ended_at IS NULL")
LIMIT_DUE = text("limit_due")
DUE = text("due")
# The sum of a month of such days fits in 64 bits. Beyond that, SQLite would continue in floating point.
MOST_A_DAY = 10**17


class MeterPrice:
    """The price of a meter, which the lines of a bill keep: `unit_price` in the currency's major unit for each
    `per` units.
    """

    unit_price: Mapped[Decimal] = mapped_column(ExactDecimal)
    per: Mapped[int] = mapped_column(BigInteger)


class Meter(MeterPrice, ForSale, Base):
    """Something that is counted and billed."""

    __tablename__ = "meters"

    id: Mapped[pk]
    key: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(String(100))
    currency: Mapped[currency]
    position: Mapped[int]
    live_product_id: Mapped[str | None] = mapped_column(String(255))
    test_product_id: Mapped[str | None] = mapped_column(String(255))


class UsageEvent(Base):
    """Reported usage. Its identifier counts once, forever.

    No foreign keys: a thousand rows arrive at once, and the database would look up each key for each row. The
    referenced rows were already checked.
    """

    __tablename__ = "usage_events"
    __table_args__ = (
        # The monthly aggregation reads only this index.
        Index("ix_usage_events_billed", "month", "customer_id", "meter_id", "units", "nanos"),
    )

    customer_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    identifier: Mapped[str] = mapped_column(String(100), primary_key=True)
    meter_id: Mapped[int] = mapped_column(Integer)
    units: Mapped[int] = mapped_column(BigInteger)
    nanos: Mapped[int] = mapped_column(Integer)  # billionths of a unit
    occurred_at: Mapped[datetime]
    month: Mapped[int]  # 202611: the month whose bill it is on; the next open month if it arrived late


class UsageDay(Base):
    """The sum of a customer's usage of one meter on one day (UTC), stored so that pages read few rows."""

    __tablename__ = "usage_days"
    __table_args__ = (
        CheckConstraint(f"units <= {MOST_A_DAY}", "most"),
        Index("ix_usage_days_due", "customer_id", "month", sqlite_where=DUE, postgresql_where=DUE),
    )

    customer_id: Mapped[int] = mapped_column(
        BigId, ForeignKey("customers.id"), primary_key=True, autoincrement=False
    )
    month: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)  # as for the events
    meter_id: Mapped[int] = mapped_column(BigId, ForeignKey("meters.id"), primary_key=True, autoincrement=False)
    day: Mapped[date] = mapped_column(primary_key=True)
    units: Mapped[int] = mapped_column(BigInteger)
    nanos: Mapped[int] = mapped_column(BigInteger)
    # changed since it was checked whether the customer needs an email about included units
    due: Mapped[bool] = mapped_column(default=False, server_default=false())


class BillingRun(Base):
    """A month that is being or has been billed. From `closed_at` on, late usage for it goes on the next bill."""

    __tablename__ = "billing_runs"

    month: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    closed_at: Mapped[datetime]


class BillState(State):
    """Where a month's bill stands. Failed: Stripe refused, and the next run tries again."""

    CLAIMED = "claimed", N_("Being billed")
    FAILED = "failed", N_("Being billed")
    INVOICED = "invoiced", N_("Invoiced"), "accent"
    PAID = "paid", N_("Paid"), "positive"
    UNPAID = "unpaid", N_("Not paid"), "negative"
    VOID = "void", N_("Cancelled")
    NOTHING = "nothing", N_("Nothing to pay"), "positive"
    UNCLEAR = "unclear", N_("In review"), "warning"

    @property
    def is_final(self) -> bool:
        """Return whether nothing more is due for it."""
        return self in (self.PAID, self.VOID, self.NOTHING)

    @classmethod
    def unbilled(cls) -> tuple[Self, ...]:
        """Return the states in which Stripe has not confirmed an invoice yet."""
        return cls.CLAIMED, cls.FAILED, cls.UNCLEAR

    @classmethod
    def billed(cls) -> tuple[Self, ...]:
        """Return the states of bills that a correction can credit: neither being billed nor void."""
        return cls.INVOICED, cls.UNPAID, cls.PAID, cls.NOTHING


class MonthlyBill(Base):
    """The amount a customer owes for a month of usage, written before Stripe is asked for an invoice.

    claimed → invoiced → paid, unpaid or void. failed: Stripe refused; the error says why, and the next run tries
    again. nothing: there was nothing to invoice, or credits paid all of it.
    """

    __tablename__ = "monthly_bills"
    __table_args__ = (
        UniqueConstraint("customer_id", "month"),
        CheckConstraint(one_of("state", *BillState), "state"),
        Index(None, "month", "state", "id"),
        Index(None, "state", "unpaid_since"),
    )

    id: Mapped[pk]
    customer_id: Mapped[int] = mapped_column(BigId, ForeignKey("customers.id"))
    mode: Mapped[mode]
    month: Mapped[int]
    amount: Mapped[amount]  # the sum of its lines
    currency: Mapped[currency]
    credits: Mapped[int | None] = mapped_column(BigInteger)  # credits that paid a part; null until decided
    credits_amount: Mapped[int] = mapped_column(BigInteger, default=0)  # the part paid by credits, in minor units
    state: Mapped[BillState] = mapped_column(Word(BillState, 10), default=BillState.CLAIMED)
    attempt: Mapped[int] = mapped_column(default=1)
    invoice_id: Mapped[str | None] = mapped_column(String(255), index=True)  # Stripe's id; null until confirmed
    error: Mapped[str | None] = mapped_column(Text)  # why the last attempt failed
    unpaid_since: Mapped[datetime | None]  # when the payment became due; null while nothing is overdue
    created_at: Mapped[datetime]

    customer: Mapped[Customer] = relationship(lazy="joined", innerjoin=True)
    lines: Mapped[list["MonthlyBillLine"]] = relationship(order_by="MonthlyBillLine.id")


class MonthlyBillLine(MeterPrice, Base):
    """One meter's part of a bill, with the price used to compute it."""

    __tablename__ = "monthly_bill_lines"
    __table_args__ = (UniqueConstraint("bill_id", "meter_id"),)

    id: Mapped[pk]
    bill_id: Mapped[int] = mapped_column(BigId, ForeignKey("monthly_bills.id"))
    meter_id: Mapped[int] = mapped_column(BigId, ForeignKey("meters.id"))
    units: Mapped[int] = mapped_column(BigInteger)
    nanos: Mapped[int] = mapped_column(BigInteger)
    # what the month included of it: `amount` is the price of the rest
    included: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    amount: Mapped[amount]  # in the bill's currency, rounded once, half up

    meter: Mapped[Meter] = relationship(lazy="joined", innerjoin=True)

    @property
    def taken(self) -> Decimal:
        """Return how many of the included units were used."""
        return min(Decimal(self.units) + Decimal(self.nanos).scaleb(-9), Decimal(self.included))


class UsageSettings(Base):
    """A customer's settings for usage."""

    __tablename__ = "usage_settings"
    __table_args__ = (
        Index("ix_usage_settings_due", "customer_id", sqlite_where=LIMIT_DUE, postgresql_where=LIMIT_DUE),
    )

    customer_id: Mapped[int] = mapped_column(
        BigId, ForeignKey("customers.id"), primary_key=True, autoincrement=False
    )
    limit_amount: Mapped[int | None] = mapped_column(BigInteger)  # minor units a month; null: no limit
    hard_stop: Mapped[bool] = mapped_column(default=False)  # whether the limit stops usage or only warns
    credits_first: Mapped[bool] = mapped_column(default=False)  # whether prepaid credits pay for usage
    limit_due: Mapped[bool] = mapped_column(
        default=False, server_default=false()
    )  # usage came since it was checked
    updated_at: Mapped[datetime]


class UsageAgreement(Base):
    """A pay-as-you-go agreement, written before its metered subscription is created. A customer has at most one
    at a time.
    """

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
    params: Mapped[dict[str, Any]]  # the exact parameters of the subscription
    attempt: Mapped[int] = mapped_column(default=1)
    subscription_id: Mapped[str | None] = mapped_column(String(255))  # null between claim and confirm
    created_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]  # null while it is active
