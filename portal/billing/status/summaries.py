"""Subscriptions as the JSON API returns them."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from portal.api.responses import Answer
from portal.billing import subscriptions
from portal.billing.status import labels
from portal.customers import access
from portal.models import Customer, Plan, Subscription

Amount = Annotated[int | None, Field(description="In minor units.", examples=[4999])]
Currency = Annotated[str | None, Field(examples=["usd"])]
CYCLES: dict[str, Literal["monthly", "yearly"]] = {"month": "monthly", "year": "yearly"}


class Listed(Answer):
    """A subscription in a list, which includes ended ones."""

    id: Annotated[str, Field(description="Stripe's id.", examples=["sub_1SGaX7Lc"])]
    provider: Literal["stripe"] = "stripe"
    status: Annotated[str, Field(description="Stripe's status.", examples=["active"])]
    tier: str | None
    plan_name: Annotated[str, Field(examples=["Pro"])]
    price_id: str
    amount: Amount
    currency: Currency
    interval: Annotated[str, Field(examples=["month"])]
    interval_count: Annotated[int, Field(description="The number of intervals in a period.", examples=[1])]
    current_period_end: datetime | None
    cancel_at: datetime | None
    ended_at: datetime | None
    created_at: datetime


class Current(Answer):
    """The current plan and its entitlements."""

    plan: Annotated[str, Field(description="The tier; `free` without a subscription.", examples=["pro"])]
    plan_name: Annotated[str, Field(examples=["Pro"])]
    status: Annotated[str, Field(description="Stripe's status, or `free`.", examples=["active"])]
    id: Annotated[str | None, Field(description="Stripe's id of the subscription; null on the free plan.")] = None
    billing_cycle: Literal["monthly", "yearly"] | None = None
    amount: Amount = None
    currency: Currency = None
    current_period_end: datetime | None = None
    trial_end: datetime | None = None
    cancel_at_period_end: Annotated[bool, Field(description="Whether it ends instead of renewing.")] = False
    cancel_at: datetime | None = None
    entitlements: Annotated[
        dict[str, bool | int | float | str], Field(description="Features and limits: true, a number or a text.")
    ]


def listed(subscription: Subscription, by_tier: dict[str, Plan]) -> Listed:
    """Return a subscription's entry in a list."""
    return Listed(
        id=subscription.stripe_id,
        status=subscription.status,
        tier=subscription.tier,
        plan_name=labels.name(subscription, by_tier),
        price_id=subscription.price_id,
        amount=subscription.amount,
        currency=subscription.currency,
        interval=subscription.interval,
        interval_count=subscription.interval_count,
        current_period_end=subscription.current_period_end,
        cancel_at=subscription.cancel_at,
        ended_at=subscription.ended_at,
        created_at=subscription.started_at,
    )


def current(customer: Customer) -> Current:
    """Return the customer's current subscription: the deciding one, else one that waits for payment, else free."""
    mine = access.of(customer)
    running = (one for one in subscriptions.of_customer(customer.id) if one.tier)
    subscription = mine.subscription or next(running, None)
    return Current(
        plan=mine.tier,
        plan_name=mine.plan_name,
        entitlements=mine.entitlements,
        **(_terms(subscription) if subscription else {"status": access.FREE}),
    )


def _terms(subscription: Subscription) -> dict[str, Any]:
    return {
        "status": subscription.status,
        "id": subscription.stripe_id,
        "billing_cycle": CYCLES.get(subscription.interval),
        "amount": subscription.amount,
        "currency": subscription.currency,
        "current_period_end": subscription.current_period_end,
        "trial_end": subscription.trial_end,
        "cancel_at_period_end": subscription.cancel_at is not None,
        "cancel_at": subscription.cancel_at,
    }
