"""A user's billing identity in one mode, and the names that Stripe knows it by."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, UniqueConstraint, false, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.models.base import Base, BigId, mode, one_of, pk, stripe_id
from portal.models.card import ShowsCard
from portal.models.user import User

ON_A_CLOCK = text("clock_at IS NOT NULL")
TO_TELL = text("new_email IS NOT NULL")


class Customer(Base):
    """Everything that has to do with money hangs off this row; a user has at most one per mode."""

    __tablename__ = "customers"
    __table_args__ = (
        UniqueConstraint("user_id", "mode"),
        CheckConstraint(one_of("mode", "live", "test"), "mode"),
        Index("ix_customers_on_a_clock", "id", sqlite_where=ON_A_CLOCK, postgresql_where=ON_A_CLOCK),
    )

    id: Mapped[pk]
    user_id: Mapped[int] = mapped_column(BigId, ForeignKey("users.id"))
    mode: Mapped[mode]
    credit_balance: Mapped[int] = mapped_column(BigInteger, default=0)  # whole credits
    # Whether credits that expire are among them. A column of this row, for a spend asks it under the row's lock.
    has_grants: Mapped[bool] = mapped_column(default=False, server_default=false())
    access_version: Mapped[int] = mapped_column(default=0)  # raised in each transaction that changes access
    suspended_at: Mapped[datetime | None]  # set while a Suspension of theirs is open; null: not suspended
    cluster: Mapped[str | None] = mapped_column(String(100))  # where its metered work runs; null: not assigned
    grace_until: Mapped[datetime | None]  # an admin's word: until then a failed payment takes nothing away
    test_clock: Mapped[str | None] = mapped_column(String(255))  # Stripe's id of the test clock it lives on
    clock_at: Mapped[datetime | None]  # that clock's time, which is this customer's now; null: the real time
    created_at: Mapped[datetime]

    user: Mapped[User] = relationship(lazy="joined", innerjoin=True)


class StripeCustomer(ShowsCard, Base):
    """One of a customer's names at Stripe; exactly one is current, deleted ones are never used again.

    Its card is the default payment method's, which top-ups and subscriptions without their own are charged to.
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
    email: Mapped[str] = mapped_column(String(254), default="")  # what Stripe knows it by
    new_email: Mapped[str | None] = mapped_column(String(254))  # what Stripe is yet to be told; null: nothing
    payment_method: Mapped[str | None] = mapped_column(String(255))  # the default one's id; null: none
    card_fingerprint: Mapped[str | None] = mapped_column(String(64))  # the same for a card under any customer
    is_current: Mapped[bool] = mapped_column(default=True)
    attempt: Mapped[int] = mapped_column(default=1)  # part of the idempotency key of its creation
    deleted_at: Mapped[datetime | None]  # when Stripe said that it is gone
    created_at: Mapped[datetime]

    customer: Mapped[Customer] = relationship(lazy="joined", innerjoin=True)
