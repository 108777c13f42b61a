"""The order behind every checkout."""

import secrets
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint, false, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.models.base import Base, BigId, amount, currency, mode, one_of, pk
from portal.models.customer import Customer

ONE_OPEN_PLAN = text("kind = 'plan' AND state = 'open' AND payment_link IS NULL AND NOT off_session")

# No 0 and O, 1 and I: order numbers are read out over the telephone.
ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"


def new_number() -> str:
    """An order number such as PO-7F3K9QXM2C: 50 random bits."""
    return "PO-" + "".join(secrets.choice(ALPHABET) for _ in range(10))


class Purchase(Base):
    """An order, written before Stripe is asked for a session. Fulfilled at most once.

    `params` is what the session is made with, word for word: a repeated call is made from the row alone.
    """

    __tablename__ = "purchases"
    __table_args__ = (
        UniqueConstraint("mode", "session_id"),
        CheckConstraint(one_of("mode", "live", "test"), "mode"),
        CheckConstraint(one_of("kind", "plan", "credits", "usage"), "kind"),
        CheckConstraint(one_of("state", "open", "paid", "failed", "expired", "unclear"), "state"),
        Index(
            "uq_purchases_one_open_plan",
            "customer_id",
            unique=True,
            sqlite_where=ONE_OPEN_PLAN,
            postgresql_where=ONE_OPEN_PLAN,
        ),
        Index(None, "customer_id", "id"),
        Index("uq_purchases_nonce", "customer_id", "nonce", unique=True),
    )

    id: Mapped[pk]
    number: Mapped[str] = mapped_column(String(20), unique=True)  # the order number that people see
    customer_id: Mapped[int] = mapped_column(BigId, ForeignKey("customers.id"))
    mode: Mapped[mode]
    kind: Mapped[str] = mapped_column(String(10))
    item: Mapped[str] = mapped_column(String(255))  # a catalogue key, or an allowed Stripe price id
    name: Mapped[str] = mapped_column(String(200))  # what it is called in words
    tier: Mapped[str | None] = mapped_column(String(64))  # what a plan gives; null for other kinds
    amount: Mapped[amount]
    currency: Mapped[currency]
    interval: Mapped[str | None] = mapped_column(String(5))  # null for one-time payments
    interval_count: Mapped[int] = mapped_column(default=1, server_default="1")
    credits: Mapped[int | None] = mapped_column(BigInteger)  # what credits purchases give; null for other kinds
    auto: Mapped[bool] = mapped_column(default=False, server_default=false())  # a top-up
    off_session: Mapped[bool] = mapped_column(
        default=False, server_default=false()
    )  # no checkout: nobody was there
    nonce: Mapped[str | None] = mapped_column(String(255))  # of the form or call that it came by
    params: Mapped[dict[str, Any]]
    attempt: Mapped[int] = mapped_column(default=1)
    session_id: Mapped[str | None] = mapped_column(String(255))  # null between claim and confirm
    session_url: Mapped[str | None] = mapped_column(Text)
    session_expires_at: Mapped[datetime | None]
    payment_intent: Mapped[str | None] = mapped_column(String(255), index=True)  # null for setup and free
    subscription_id: Mapped[str | None] = mapped_column(String(255))  # Stripe's id, once known
    payment_link: Mapped[str | None] = mapped_column(String(255))  # Stripe's id, where one led here
    made_account: Mapped[bool] = mapped_column(default=False)  # its buyer had no account before
    state: Mapped[str] = mapped_column(String(10), default="open")
    completed_at: Mapped[datetime | None]  # the session is complete; with delayed methods not yet paid
    paid_at: Mapped[datetime | None]
    revealed_at: Mapped[datetime | None]  # its key was shown; it is never shown again
    created_at: Mapped[datetime]

    customer: Mapped[Customer] = relationship(lazy="joined", innerjoin=True)

    @property
    def trial_days(self) -> int:
        """How many days are free before the price is due; 0: none."""
        days: int = self.params.get("subscription_data", {}).get("trial_period_days", 0)
        return days
