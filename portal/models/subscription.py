"""What Stripe last said about a subscription, and the numbers that keep its syncs in order."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from portal.models.base import Base, BigId, amount, currency, mode, pk, stripe_id
from portal.models.card import ShowsCard


class Subscription(ShowsCard, Base):
    """A copy of a Stripe subscription; only a sync writes it."""

    __tablename__ = "subscriptions"
    __table_args__ = (
        UniqueConstraint("mode", "stripe_id"),
        Index(None, "customer_id", "status"),
        Index(None, "stripe_customer"),
        # What the scheduled tasks ask for.
        Index(None, "status", "trial_end"),
        Index(None, "card_exp_year", "card_exp_month"),
    )

    id: Mapped[pk]
    customer_id: Mapped[int] = mapped_column(BigId, ForeignKey("customers.id"))
    mode: Mapped[mode]
    stripe_id: Mapped[stripe_id]
    stripe_customer: Mapped[str] = mapped_column(
        String(255)
    )  # which of the customer's names at Stripe it stands under
    status: Mapped[str] = mapped_column(String(30))  # Stripe's own words
    price_id: Mapped[str] = mapped_column(String(255))  # the deciding item's price at Stripe
    tier: Mapped[str | None] = mapped_column(String(64))  # null: a usage subscription, or a price never known
    quantity: Mapped[int] = mapped_column(default=1)
    amount: Mapped[amount]  # of one cycle, before taxes
    currency: Mapped[currency]
    interval: Mapped[str] = mapped_column(String(5))
    interval_count: Mapped[int] = mapped_column(default=1)
    current_period_end: Mapped[datetime | None]
    trial_end: Mapped[datetime | None]
    cancel_at: Mapped[datetime | None]  # when it will end, whichever way that was scheduled
    canceled_at: Mapped[datetime | None]  # when that end was asked for
    ended_at: Mapped[datetime | None]
    # What a schedule at Stripe will turn it into, and when; all null where nothing is scheduled.
    schedule_id: Mapped[str | None] = mapped_column(String(255))
    next_price_id: Mapped[str | None] = mapped_column(String(255))
    next_tier: Mapped[str | None] = mapped_column(String(64))
    next_amount: Mapped[int | None] = mapped_column(BigInteger)  # of one cycle then, in minor units of `currency`
    next_interval: Mapped[str | None] = mapped_column(String(5))
    next_interval_count: Mapped[int | None]
    next_at: Mapped[datetime | None]
    next_due: Mapped[int | None] = mapped_column(
        BigInteger
    )  # by Stripe's preview; null where no discount lowers it
    pending_until: Mapped[datetime | None]  # a change waits for its payment, and lapses then
    past_due_since: Mapped[datetime | None]  # `created` of its oldest open, attempted invoice
    started_at: Mapped[datetime]
    synced_at: Mapped[datetime]

    @property
    def is_plan(self) -> bool:
        """Whether it is a plan, also one whose price was never known; pay as you go has no amount of its own."""
        return self.tier is not None or self.amount > 0


class SyncTicket(Base):
    """The numbers of one object's syncs: a fetch is written only if no later one was written already."""

    __tablename__ = "sync_tickets"

    mode: Mapped[str] = mapped_column(String(4), primary_key=True)
    object_id: Mapped[str] = mapped_column(String(255), primary_key=True)
    requested: Mapped[int] = mapped_column(default=0)
    applied: Mapped[int] = mapped_column(default=0)
