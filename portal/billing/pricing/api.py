"""What is on sale, in the JSON API, for a separate front end."""

from typing import Annotated, Any, Literal

from flask import Blueprint
from pydantic import Field

from portal.api.responses import Answer, answers, cached
from portal.billing.pricing import allowed_prices
from portal.billing.status.summaries import CYCLES
from portal.catalogue import items, plans
from portal.catalogue.items import Item
from portal.enums import Mode
from portal.extensions import limiter
from portal.models import Plan

blueprint = Blueprint("plans_api", __name__, url_prefix="/api/v1")

Amount = Annotated[int, Field(description="In minor units of `currency`.", examples=[4999])]


class PriceOnSale(Answer):
    """A price, and what to order it with."""

    price_id: Annotated[str, Field(description="For `POST /api/auth/stripe/checkout`.", examples=["pro-monthly"])]
    billing_cycle: Annotated[
        Literal["monthly", "yearly"] | None, Field(description="For `POST /api/v1/billing/checkout`.")
    ]
    amount: Amount
    currency: Annotated[str, Field(examples=["usd"])]
    interval: Annotated[str | None, Field(description="Null: paid once.", examples=["month"])]
    interval_count: Annotated[int, Field(description="The number of intervals in a period.", examples=[1])]
    metered: Annotated[bool, Field(description="Whether usage is paid afterwards; `amount` is 0 then.")]
    trial_days: Annotated[int, Field(description="Free days for a customer's first plan.", examples=[0])]


class PlanOnSale(Answer):
    """A plan of the catalogue."""

    plan_name: Annotated[str, Field(description="For `POST /api/v1/billing/checkout`.", examples=["pro"])]
    name: Annotated[str, Field(examples=["Pro"])]
    tier: Annotated[str, Field(examples=["pro"])]
    description: str
    features: list[str]
    entitlements: Annotated[
        dict[str, bool | int | float | str], Field(description="Features and limits: true, a number or a text.")
    ]
    recommended: bool
    prices: list[PriceOnSale]


class OtherOnSale(PriceOnSale):
    """A price outside the catalogue that the operator sells."""

    name: Annotated[str, Field(examples=["Team"])]
    description: str
    tier: str | None


class PlansOnSale(Answer):
    """Everything on the pricing page. A browser may keep it for a minute."""

    plans: list[PlanOnSale]
    other_prices: Annotated[list[OtherOnSale], Field(description="Prices that the catalogue does not have.")]


@blueprint.get("/plans")
@limiter.limit("60/minute")
@cached(60)
@answers(PlansOnSale)
def list_plans() -> PlansOnSale:
    """List the plans and prices on sale, as the pricing page shows them. It needs no key."""
    others = allowed_prices.on_sale().offered
    everything = plans.every_plan()
    listed = plans.features_of(everything)
    found = [_plan(plan, listed[plan.tier]) for plan in everything if not plan.hidden and not plan.withdrawn]
    return PlansOnSale(
        plans=[plan for plan in found if plan.prices],
        other_prices=[
            OtherOnSale(**_price(item), name=item.name, description=price.product_description, tier=item.tier)
            for item, price in others
        ],
    )


def _plan(plan: Plan, features: list[str]) -> PlanOnSale:
    sold = [items.of_price(price, Mode.LIVE) for price in plan.prices if plans.is_on_sale(price)]
    return PlanOnSale(
        plan_name=plan.key,
        name=plan.name,
        tier=plan.tier,
        description=plan.description,
        features=features,
        entitlements=plan.entitlements,
        recommended=plan.recommended,
        prices=[PriceOnSale(**_price(item)) for item in sold if item],
    )


def _price(item: Item) -> dict[str, Any]:
    is_plain = item.interval_count == 1 and item.key != item.stripe_id
    return {
        "price_id": item.key,
        "billing_cycle": CYCLES.get(item.interval or "") if is_plain else None,
        "amount": item.amount,
        "currency": item.currency,
        "interval": item.interval,
        "interval_count": item.interval_count,
        "metered": item.metered,
        "trial_days": item.trial_days,
    }
