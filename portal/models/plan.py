"""Plans and their prices, loaded from catalogue.toml."""

from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, Text, false, text, true
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.models.base import Base, BigId, ForSale, amount, currency, one_of, pk

ON_SALE = text("NOT withdrawn")


class OnDispute(StrEnum):
    """What a dispute of a subscription's invoice does to its customer."""

    KEEP = "keep"
    SUSPEND = "suspend"


class Plan(Base):
    """A tier that customers can subscribe to. Plans that left the catalogue stay in the table as withdrawn."""

    __tablename__ = "plans"

    id: Mapped[pk]
    key: Mapped[str] = mapped_column(String(64), unique=True)
    tier: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(String(100))
    description: Mapped[str] = mapped_column(Text, default="")
    features: Mapped[list[str]]  # sentences for the pricing page
    entitlements: Mapped[dict[str, Any]]  # name → true, number or text
    position: Mapped[int]  # the catalogue's order: a higher plan outranks a lower one
    hidden: Mapped[bool] = mapped_column(default=False)
    recommended: Mapped[bool] = mapped_column(default=False)
    trial_days: Mapped[int] = mapped_column(default=0, server_default="0")  # 0: paid from the first day
    trial_needs_card: Mapped[bool] = mapped_column(default=True, server_default=true())
    on_dispute: Mapped[str] = mapped_column(String(10), default="keep", server_default="keep")  # an OnDispute
    also: Mapped[str | None] = mapped_column(String(10))  # `product`: every price of its product gives the plan
    # What each month includes. Periods that were sold keep their own numbers: see portal.models.plan_period.
    credits: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    credits_in_trial: Mapped[bool] = mapped_column(default=False, server_default=false())
    rollover: Mapped[int] = mapped_column(
        default=0, server_default="0"
    )  # months for which unused credits are kept
    # meter → units
    included: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default=text("'{}'"))
    withdrawn: Mapped[bool] = mapped_column(default=False)
    live_product_id: Mapped[str | None] = mapped_column(String(255))  # null until pushed
    test_product_id: Mapped[str | None] = mapped_column(String(255))

    prices: Mapped[list["Price"]] = relationship(back_populates="plan", order_by="Price.id")


class Price(ForSale, Base):
    """The price of one billing cycle of a plan, with its Stripe price id in each mode."""

    __tablename__ = "prices"
    __table_args__ = (
        CheckConstraint(one_of("interval", "month", "year"), "interval"),
        # Withdrawn prices keep their keys, because those who have them still pay them.
        Index("uq_prices_key_on_sale", "key", unique=True, sqlite_where=ON_SALE, postgresql_where=ON_SALE),
        Index(
            "uq_prices_lookup_key_on_sale",
            "lookup_key",
            unique=True,
            sqlite_where=ON_SALE,
            postgresql_where=ON_SALE,
        ),
    )

    id: Mapped[pk]
    plan_id: Mapped[int] = mapped_column(BigId, ForeignKey("plans.id"), index=True)
    key: Mapped[str] = mapped_column(String(64))
    lookup_key: Mapped[str] = mapped_column(String(200))
    amount: Mapped[amount]
    currency: Mapped[currency]
    interval: Mapped[str] = mapped_column(String(5))

    plan: Mapped[Plan] = relationship(back_populates="prices", lazy="joined", innerjoin=True)
