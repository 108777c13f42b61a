"""Subscriptions as Stripe last described them, and the numbers that order their syncs."""

from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from sqlalchemy import BigInteger, ForeignKey, Index, String, UniqueConstraint, and_, false, text
from sqlalchemy.orm import Mapped, foreign, mapped_column, relationship

from portal.enums import N_, Mode, State
from portal.models.base import Base, BigId, Word, amount, currency, mode, pk, stripe_id
from portal.models.card import ShowsCard
from portal.models.price_change import PriceChange
from portal.models.subscription_part import SubscriptionPart

CANCELED = text("canceled_at IS NOT NULL")
TIER_KEPT = text("tier_kept")
GOING_ON = text("ended_at IS NULL")
MRR_DUE = text("mrr <> mrr_booked")


class CancellationReason(StrEnum):
    """Why a customer cancels: Stripe's codes for `cancellation_details.feedback`, in the order of the form.

    https://docs.stripe.com/api/subscriptions/update#update_subscription-cancellation_details-feedback
    """

    TOO_EXPENSIVE = "too_expensive"
    MISSING_FEATURES = "missing_features"
    SWITCHED_SERVICE = "switched_service"
    UNUSED = "unused"
    CUSTOMER_SERVICE = "customer_service"
    TOO_COMPLEX = "too_complex"
    LOW_QUALITY = "low_quality"
    OTHER = "other"

    @property
    def label(self) -> str:
        """Return the reason as the customer reads it."""
        return CANCELLATION_LABELS[self]


CANCELLATION_LABELS = {
    CancellationReason.TOO_EXPENSIVE: "It costs too much",
    CancellationReason.MISSING_FEATURES: "Something I need is missing",
    CancellationReason.SWITCHED_SERVICE: "I have found something else",
    CancellationReason.UNUSED: "I don't use it enough",
    CancellationReason.CUSTOMER_SERVICE: "I was not helped well",
    CancellationReason.TOO_COMPLEX: "It is too complicated",
    CancellationReason.LOW_QUALITY: "It does not work well enough",
    CancellationReason.OTHER: "Another reason",
}


class SubscriptionStatus(State):
    """Stripe's statuses of a subscription (https://docs.stripe.com/api/subscriptions/object)."""

    ACTIVE = "active", N_("Active"), "positive"
    TRIALING = "trialing", N_("Trial"), "accent"
    PAST_DUE = "past_due", N_("Payment failed"), "negative"
    UNPAID = "unpaid", N_("Unpaid"), "negative"
    PAUSED = "paused", N_("Paused"), "warning"
    INCOMPLETE = "incomplete", N_("Waiting for payment"), "warning"
    INCOMPLETE_EXPIRED = "incomplete_expired", N_("Expired")
    CANCELED = "canceled", N_("Canceled")

    @property
    def in_good_standing(self) -> bool:
        """Return whether nothing is owed: it is active or in its trial."""
        return self in self.good()

    @property
    def grants_access(self) -> bool:
        """Return whether it grants its tier; a past due one does so within the grace period."""
        return self in self.granting()

    @property
    def is_owing(self) -> bool:
        """Return whether a renewal was not paid."""
        return self in (self.PAST_DUE, self.UNPAID)

    @property
    def is_running(self) -> bool:
        """Return whether it has begun and has not ended, paid or not."""
        return self in self.running()

    @property
    def is_final(self) -> bool:
        """Return whether it has ended permanently: Stripe does not reactivate it."""
        return self in self.final()

    @classmethod
    def good(cls) -> tuple[Self, ...]:
        """Return the statuses in good standing."""
        return cls.ACTIVE, cls.TRIALING

    @classmethod
    def granting(cls) -> tuple[Self, ...]:
        """Return the statuses that grant access, in the order in which they count within one plan."""
        return cls.ACTIVE, cls.TRIALING, cls.PAST_DUE

    @classmethod
    def running(cls) -> tuple[Self, ...]:
        """Return the statuses of subscriptions that have begun and have not ended."""
        return cls.ACTIVE, cls.TRIALING, cls.PAST_DUE, cls.UNPAID, cls.PAUSED

    @classmethod
    def final(cls) -> tuple[Self, ...]:
        """Return the statuses of subscriptions that have ended for good."""
        return cls.CANCELED, cls.INCOMPLETE_EXPIRED


class Subscription(ShowsCard, Base):
    """A copy of a Stripe subscription, written only by a sync."""

    __tablename__ = "subscriptions"
    __table_args__ = (
        UniqueConstraint("mode", "stripe_id"),
        Index(None, "customer_id", "status"),
        Index(None, "stripe_customer"),
        # Queried by the scheduled tasks.
        Index(None, "status", "trial_end"),
        Index(None, "card_exp_year", "card_exp_month"),
        Index("ix_subscriptions_synced", "mode", "synced_at", sqlite_where=GOING_ON, postgresql_where=GOING_ON),
        Index("ix_subscriptions_mrr_due", "mrr_since", sqlite_where=MRR_DUE, postgresql_where=MRR_DUE),
        Index(
            "ix_subscriptions_canceled", "mode", "canceled_at", sqlite_where=CANCELED, postgresql_where=CANCELED
        ),
        Index("ix_subscriptions_tier_kept", "id", sqlite_where=TIER_KEPT, postgresql_where=TIER_KEPT),
    )

    id: Mapped[pk]
    customer_id: Mapped[int] = mapped_column(BigId, ForeignKey("customers.id"))
    mode: Mapped[mode]
    stripe_id: Mapped[stripe_id]
    stripe_customer: Mapped[str] = mapped_column(String(255))  # the customer id at Stripe that it belongs to
    status: Mapped[SubscriptionStatus] = mapped_column(Word(SubscriptionStatus, 40))
    price_id: Mapped[str] = mapped_column(String(255))  # the Stripe price of the item that decides the tier
    tier: Mapped[str | None] = mapped_column(String(64))  # null: a usage subscription, or an unknown price
    # Its price gives no tier any more, so the last one was kept until an admin has decided.
    tier_kept: Mapped[bool] = mapped_column(default=False, server_default=false())
    is_usage: Mapped[bool] = mapped_column(default=False, server_default=false())  # pay as you go
    quantity: Mapped[int] = mapped_column(default=1)
    amount: Mapped[amount]  # list prices of all items of its cycle, before discounts and taxes
    currency: Mapped[currency]
    # SubscriptionPart of each item, the one that decides the tier first.
    items: Mapped[list[dict[str, Any]]] = mapped_column(default=list, server_default=text("'[]'"))
    # What changes how or when it is charged: see portal.billing.upcoming.terms.
    terms: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default=text("'{}'"))
    method_type: Mapped[str | None] = mapped_column(String(40))  # what pays it: card, sepa_debit, …; null: nothing
    interval: Mapped[str] = mapped_column(String(5))
    interval_count: Mapped[int] = mapped_column(default=1)
    current_period_end: Mapped[datetime | None]
    trial_end: Mapped[datetime | None]
    cancel_at: Mapped[datetime | None]  # when it will end, whichever way the cancellation was scheduled
    canceled_at: Mapped[datetime | None]  # when the cancellation was requested
    ended_at: Mapped[datetime | None]
    # What a schedule at Stripe will change it to, and when. All null if nothing is scheduled.
    schedule_id: Mapped[str | None] = mapped_column(String(255))
    next_price_id: Mapped[str | None] = mapped_column(String(255))
    next_tier: Mapped[str | None] = mapped_column(String(64))
    # per cycle after the change, in minor units of `currency`
    next_amount: Mapped[int | None] = mapped_column(BigInteger)
    next_interval: Mapped[str | None] = mapped_column(String(5))
    next_interval_count: Mapped[int | None]
    next_at: Mapped[datetime | None]
    next_items: Mapped[list[dict[str, Any]]] = mapped_column(default=list, server_default=text("'[]'"))
    # Its next invoice from Stripe's own preview. A sync without a preview empties these.
    next_due: Mapped[int | None] = mapped_column(BigInteger)  # null: there is none, or its amount is unknown
    next_due_at: Mapped[datetime | None]
    next_lines: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default=text("'{}'"))
    previewed_at: Mapped[datetime | None]  # when Stripe was asked
    pending_until: Mapped[datetime | None]  # a change waits for its payment, and expires then
    past_due_since: Mapped[datetime | None]  # `created` of its oldest open, attempted invoice
    # Monthly recurring revenue in minor units of `currency`, what movements have booked of it, and since when it
    # has been this one; null: it was never measured, because the copy is older than these columns.
    mrr: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    mrr_booked: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    mrr_since: Mapped[datetime | None]
    # What is booked first is an opening: an import, or an upgrade of the portal, found it.
    mrr_opening: Mapped[bool] = mapped_column(default=False, server_default=false())
    started_at: Mapped[datetime]
    synced_at: Mapped[datetime]

    # The notice of another price, until the change is made.
    price_change: Mapped[PriceChange | None] = relationship(
        primaryjoin=lambda: and_(
            Subscription.id == foreign(PriceChange.subscription_id), PriceChange.state == "noticed"
        ),
        viewonly=True,
        uselist=False,
    )

    @property
    def is_plan(self) -> bool:
        """Return whether it is a plan of ours, not pay as you go or another product of the same Stripe account."""
        return self.tier is not None

    @property
    def parts(self) -> list[SubscriptionPart]:
        """Return its items, the one that decides the tier first."""
        return [SubscriptionPart.read(one) for one in self.items]

    @property
    def coming_parts(self) -> list[SubscriptionPart]:
        """Return the items that a schedule changes it to, the one that decides the tier first."""
        return [SubscriptionPart.read(one) for one in self.next_items]

    @property
    def cycle(self) -> tuple[str, int]:
        """Return how often the item that decides the tier is charged."""
        return self.interval, self.interval_count


class SyncTicket(Base):
    """The sync numbers of one object. A fetch is written only if no later fetch has been written."""

    __tablename__ = "sync_tickets"

    mode: Mapped[Mode] = mapped_column(Word(Mode, 4), primary_key=True)
    object_id: Mapped[str] = mapped_column(String(255), primary_key=True)
    requested: Mapped[int] = mapped_column(default=0)
    applied: Mapped[int] = mapped_column(default=0)
