"""What is on sale: plans and their prices, loaded from catalogue.toml."""

from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, String, Text, true
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.models.base import Base, BigId, ForSale, amount, currency, one_of, pk


class OnDispute(StrEnum):
    """What a dispute of a subscription's invoice does to its customer."""

    KEEP = "keep"
    SUSPEND = "suspend"


class Plan(Base):
    """A tier that customers can be on. Plans that left the catalogue stay, withdrawn."""

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
    withdrawn: Mapped[bool] = mapped_column(default=False)
    live_product_id: Mapped[str | None] = mapped_column(String(255))  # null until pushed
    test_product_id: Mapped[str | None] = mapped_column(String(255))

    prices: Mapped[list["Price"]] = relationship(back_populates="plan", order_by="Price.id")


class Price(ForSale, Base):
    """What one cycle of a plan costs, with the id of its Stripe price in each mode."""

    __tablename__ = "prices"
    __table_args__ = (CheckConstraint(one_of("interval", "month", "year"), "interval"),)

    id: Mapped[pk]
    plan_id: Mapped[int] = mapped_column(BigId, ForeignKey("plans.id"), index=True)
    key: Mapped[str] = mapped_column(String(64), unique=True)
    amount: Mapped[amount]
    currency: Mapped[currency]
    interval: Mapped[str] = mapped_column(String(5))

    plan: Mapped[Plan] = relationship(back_populates="prices", lazy="joined", innerjoin=True)
