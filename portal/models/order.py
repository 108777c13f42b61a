"""The order behind every checkout."""

import secrets
from datetime import datetime
from typing import Any, Self

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint, false, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.enums import N_, Mode, State
from portal.models.base import Base, BigId, Word, amount, currency, mode, one_of, pk
from portal.models.customer import Customer

OPEN = text("state = 'open'")
SECOND_PLAN_DUE = text("second_plan_due")
DIFFERING = text("differs IS NOT NULL")
ONE_OPEN_PLAN = text("kind = 'plan' AND state = 'open' AND payment_link IS NULL AND NOT off_session")

# No 0 and O, 1 and I, because order numbers are read out over the telephone.
ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"


def new_number() -> str:
    """Return a new order number such as PO-7F3K9QXM2C, with 50 random bits."""
    return "PO-" + "".join(secrets.choice(ALPHABET) for _ in range(10))


class OrderState(State):
    """The state of an order. Unclear: the payment may have succeeded at Stripe, and an admin decides."""

    OPEN = "open", N_("Open"), "warning"
    PAID = "paid", N_("Paid"), "positive"
    FAILED = "failed", N_("Failed"), "negative"
    EXPIRED = "expired", N_("Expired")
    UNCLEAR = "unclear", N_("In review"), "warning"

    @property
    def is_open(self) -> bool:
        """Return whether it still waits for its regular payment."""
        return self == self.OPEN

    @property
    def is_final(self) -> bool:
        """Return whether its outcome is known."""
        return self in (self.PAID, self.FAILED, self.EXPIRED)

    @classmethod
    def pending(cls) -> tuple[Self, ...]:
        """Return the states whose outcome is not known yet."""
        return cls.OPEN, cls.UNCLEAR


class Order(Base):
    """An order, written before Stripe is asked for a session. It is fulfilled at most once.

    `params` are the exact parameters of the session, so a repeated call is made from the row alone.
    """

    __tablename__ = "orders"
    __table_args__ = (
        UniqueConstraint("mode", "session_id"),
        CheckConstraint(one_of("mode", *Mode), "mode"),
        CheckConstraint(one_of("kind", "plan", "credits", "usage"), "kind"),
        CheckConstraint(one_of("state", *OrderState), "state"),
        Index(
            "uq_orders_one_open_plan",
            "customer_id",
            unique=True,
            sqlite_where=ONE_OPEN_PLAN,
            postgresql_where=ONE_OPEN_PLAN,
        ),
        Index(None, "customer_id", "id"),
        Index("ix_orders_expiring", "mode", "session_expires_at", sqlite_where=OPEN, postgresql_where=OPEN),
        Index("ix_orders_second_plan_due", "id", sqlite_where=SECOND_PLAN_DUE, postgresql_where=SECOND_PLAN_DUE),
        Index("ix_orders_differing", "id", sqlite_where=DIFFERING, postgresql_where=DIFFERING),
        Index("uq_orders_nonce", "customer_id", "nonce", unique=True),
    )

    id: Mapped[pk]
    number: Mapped[str] = mapped_column(String(20), unique=True)  # the order number that people see
    customer_id: Mapped[int] = mapped_column(BigId, ForeignKey("customers.id"))
    mode: Mapped[mode]
    kind: Mapped[str] = mapped_column(String(10))
    item: Mapped[str] = mapped_column(String(255))  # a catalogue key, or an allowed Stripe price id
    name: Mapped[str] = mapped_column(String(200))  # the display name
    tier: Mapped[str | None] = mapped_column(String(64))  # the tier that a plan grants; null for other kinds
    amount: Mapped[amount]
    currency: Mapped[currency]
    interval: Mapped[str | None] = mapped_column(String(5))  # null for one-time payments
    interval_count: Mapped[int] = mapped_column(default=1, server_default="1")
    # the credits that the order grants; null for other kinds
    credits: Mapped[int | None] = mapped_column(BigInteger)
    auto: Mapped[bool] = mapped_column(default=False, server_default=false())  # a top-up
    off_session: Mapped[bool] = mapped_column(
        default=False, server_default=false()
    )  # paid without a checkout, with the customer absent
    nonce: Mapped[str | None] = mapped_column(String(255))  # of the form or API call that created it
    params: Mapped[dict[str, Any]]
    attempt: Mapped[int] = mapped_column(default=1)
    session_id: Mapped[str | None] = mapped_column(String(255))  # null between claim and confirm
    session_url: Mapped[str | None] = mapped_column(Text)
    session_expires_at: Mapped[datetime | None]
    payment_intent: Mapped[str | None] = mapped_column(String(255), index=True)  # null for setup and free
    subscription_id: Mapped[str | None] = mapped_column(String(255))  # Stripe's id, once known
    # the Stripe id of the Payment Link, if one was used
    payment_link: Mapped[str | None] = mapped_column(String(255))
    made_account: Mapped[bool] = mapped_column(default=False)  # its buyer had no account before
    state: Mapped[OrderState] = mapped_column(Word(OrderState, 10), default=OrderState.OPEN)
    # What its paid session differs in, as an admin reads it. Nothing is granted until somebody has looked.
    differs: Mapped[str | None] = mapped_column(String(255))
    difference_closed_at: Mapped[datetime | None]  # when an admin was done with it, and nothing was granted
    completed_at: Mapped[datetime | None]  # when the session was completed; delayed payment methods pay later
    paid_at: Mapped[datetime | None]
    revealed_at: Mapped[datetime | None]  # when its key was shown; it is never shown again
    created_at: Mapped[datetime]
    # a plan was bought, and the scheduled task has not looked for a second one of the same address yet
    second_plan_due: Mapped[bool] = mapped_column(default=False, server_default=false())

    customer: Mapped[Customer] = relationship(lazy="joined", innerjoin=True)

    @property
    def trial_days(self) -> int:
        """Return the number of free days before the price is due; 0 if there is no trial."""
        days: int = self.params.get("subscription_data", {}).get("trial_period_days", 0)
        return days
