"""A user's billing identity in one mode, and the customers at Stripe that belong to it."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, UniqueConstraint, false, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.enums import Mode
from portal.models.base import Base, BigId, mode, one_of, pk, stripe_id
from portal.models.card import ShowsCard
from portal.models.user import User

ON_A_CLOCK = text("clock_at IS NOT NULL")
TO_TELL = text("new_email IS NOT NULL")


class Customer(Base):
    """A user's billing identity in one mode, which owns everything that concerns money. A user has at most one
    per mode.
    """

    __tablename__ = "customers"
    __table_args__ = (
        UniqueConstraint("user_id", "mode"),
        CheckConstraint(one_of("mode", *Mode), "mode"),
        Index("ix_customers_on_a_clock", "id", sqlite_where=ON_A_CLOCK, postgresql_where=ON_A_CLOCK),
    )

    id: Mapped[pk]
    user_id: Mapped[int] = mapped_column(BigId, ForeignKey("users.id"))
    mode: Mapped[mode]
    credit_balance: Mapped[int] = mapped_column(BigInteger, default=0)  # whole credits
    # Whether some of the credits expire. It is a column here because a spend reads it under the row's lock.
    has_grants: Mapped[bool] = mapped_column(default=False, server_default=false())
    # Whole credits: when the balance falls below, a top-up or a mail is due. Null: nothing more is. It is a column
    # here for the same reason (portal.credits.thresholds).
    low_at: Mapped[int | None] = mapped_column(BigInteger)
    access_version: Mapped[int] = mapped_column(default=0)  # incremented in each transaction that changes access
    suspended_at: Mapped[datetime | None]  # set while one of its suspensions is open; null: not suspended
    cluster: Mapped[str | None] = mapped_column(String(100))  # where its metered workloads run; null: not assigned
    grace_until: Mapped[datetime | None]  # set by an admin: until then a failed payment does not end access
    test_clock: Mapped[str | None] = mapped_column(String(255))  # Stripe's id of its test clock
    # that clock's time, used as this customer's current time; null: the real time
    clock_at: Mapped[datetime | None]
    created_at: Mapped[datetime]

    user: Mapped[User] = relationship(lazy="joined", innerjoin=True)


class StripeCustomer(ShowsCard, Base):
    """One of a customer's ids at Stripe. Exactly one is current, and deleted ones are never used again.

    The card is that of the default payment method, which pays top-ups and subscriptions without their own method.
    """

    __tablename__ = "stripe_customers"
    __table_args__ = (
        UniqueConstraint("mode", "stripe_id"),
        Index(
            "uq_stripe_customers_current",
            "customer_id",
            unique=True,
            sqlite_where=text("is_current"),
            postgresql_where=text("is_current"),
        ),
        Index("ix_stripe_customers_to_tell", "id", sqlite_where=TO_TELL, postgresql_where=TO_TELL),
        Index(None, "customer_id"),
    )

    id: Mapped[pk]
    customer_id: Mapped[int] = mapped_column(BigId, ForeignKey("customers.id"))
    mode: Mapped[mode]
    stripe_id: Mapped[stripe_id | None]  # null between claim and confirm
    email: Mapped[str] = mapped_column(String(254), default="")  # the address that Stripe has
    # the address that Stripe must still be sent; null: none
    new_email: Mapped[str | None] = mapped_column(String(254))
    payment_method: Mapped[str | None] = mapped_column(String(255))  # the default one's id; null: none
    card_fingerprint: Mapped[str | None] = mapped_column(String(64))  # identical for one card under any customer
    balance: Mapped[int] = mapped_column(
        BigInteger, default=0, server_default="0"
    )  # at Stripe; negative: a credit
    currency: Mapped[str | None] = mapped_column(String(3))  # of the balance; null: Stripe has not charged it yet
    # In further currencies, and the newest changes without an invoice: see portal.customers.balances.
    balances: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default=text("'{}'"))
    # Company, address and tax ids as Stripe prints them on invoices: see portal.customers.billing_details.
    details: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default=text("'{}'"))
    # What was about to be charged when Stripe was asked: drafts of invoices, and subscriptions that begin later.
    upcoming: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default=text("'{}'"))
    asked_at: Mapped[datetime | None]  # null: not asked yet, or an event about the customer came since
    is_current: Mapped[bool] = mapped_column(default=True)
    attempt: Mapped[int] = mapped_column(default=1)  # part of the idempotency key of its creation
    deleted_at: Mapped[datetime | None]  # when Stripe reported that it was deleted
    created_at: Mapped[datetime]

    customer: Mapped[Customer] = relationship(lazy="joined", innerjoin=True)
