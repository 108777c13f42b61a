"""The plans on sale, as the pricing page shows them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import structlog

from portal import gateway, money
from portal.billing.pricing import allowed_prices, currencies
from portal.catalogue import items, plans
from portal.customers import access
from portal.enums import Mode
from portal.models import Plan, Price, Subscription

log = structlog.get_logger()

CYCLES = ("month", "year")
MONTHS_A_YEAR = 12


@dataclass(frozen=True)
class Offer:
    """One plan on the pricing page. `saving` is the discount of a year over twelve months, in minor units."""

    plan: Plan
    features: list[str]  # with those that are made from what the plan includes
    price: Price
    amount: int  # in the customer's currency where the price has it
    currency: str
    saving: int | None
    is_current: bool
    trial_days: int  # free days before the price is due; 0 for a customer who had a trial
    note: str  # what choosing it means for a customer with a plan
    action: str  # "buy" (visitors sign up first), or "change" for a customer with a plan
    refusal: str = ""  # why this customer cannot have it


def offers(
    all_plans: list[Plan],
    cycle: str,
    mine: access.Access | None,
    charged: currencies.Charged,
    *,
    has_trial: bool = True,
) -> list[Offer]:
    """List the pricing page's plans on sale for one cycle, for a customer or (None) a visitor.

    `charged` is the customer's currency; `has_trial`: their one trial is not used up. Ends the transaction if
    Stripe has to be asked.
    """
    costs = currencies.amounts([one for plan in all_plans for one in plan.prices], charged.currency, Mode.LIVE)
    positions = {plan.tier: plan.position for plan in all_plans}
    listed = plans.features_of(all_plans)
    found = []
    for plan in all_plans:
        price = plans.price_for(plan, cycle)
        shown = not plan.hidden and not plan.withdrawn
        if shown and price is not None and items.is_allowed(price.stripe_id(Mode.LIVE)):
            offer = _offer(plan, price, listed[plan.tier], mine, positions, has_trial)
            amount, currency = costs[price.key]
            refusal = charged.refusal(currency) if amount else ""
            saving = _saving(plan, price, costs)
            found.append(replace(offer, amount=amount, currency=currency, refusal=refusal, saving=saving))
    return found


@dataclass(frozen=True)
class OtherOffer:
    """An allowed price outside the catalogue, on the pricing page."""

    item: items.Item
    description: str
    cost: str  # such as "$9" or, for usage, "$0.02 per unit"
    is_current: bool
    action: str  # as of an Offer
    refusal: str = ""


def others(
    allowed: allowed_prices.Allowed,
    mine: access.Access | None,
    held: Collection[str],
    charged: currencies.Charged,
) -> list[OtherOffer]:
    """List the allowed prices outside the catalogue. `held` are the prices of the customer's subscriptions."""
    has_plan = mine is not None and mine.subscription is not None
    return [
        OtherOffer(
            item=item,
            description=price.product_description,
            cost=_cost(price, item),
            is_current=item.key in held,
            # Without a tier it is no plan, so it can be bought beside one.
            action="change" if has_plan and item.tier and item.interval and not item.metered else "buy",
            refusal=charged.refusal(item.currency) if item.interval else "",
        )
        for item, price in allowed.offered
    ]


def _cost(price: gateway.Price, item: items.Item) -> str:
    if not item.metered:
        return money.text(item.amount, item.currency, short=True)
    if price.unit_amount is None:
        return "Pay per use"
    unit = price.unit_amount.scaleb(-money.exponent(price.currency)) * price.package
    per = f"{price.package:,} units" if price.package > 1 else "unit"
    return f"{money.price_text(unit, 1, price.currency)} per {per}"


def in_words(item: items.Item) -> str:
    """Return what is bought and for how much, such as "Pro, $49.99 a month"."""
    cost = money.text(item.amount, item.currency, short=True)
    how_often = f" {money.every(item.interval, item.interval_count)}" if item.interval else ""
    return f"{item.name}, {cost}{how_often}"


def _offer(
    plan: Plan,
    price: Price,
    listed: list[str],
    mine: access.Access | None,
    positions: dict[str, int],
    has_trial: bool,
) -> Offer:
    held = mine.subscription if mine else None
    is_same = mine is not None and mine.tier == plan.tier
    return Offer(
        plan=plan,
        features=listed,
        price=price,
        amount=price.amount,
        currency=price.currency,
        saving=None,
        is_current=is_same and (held is None or held.interval == price.interval),
        trial_days=plan.trial_days if has_trial and price.amount and held is None else 0,
        note=_note(plan, price, held, positions) if held else "",
        action="change" if held else "buy",
    )


def _note(plan: Plan, price: Price, held: Subscription, positions: dict[str, int]) -> str:
    now = positions.get(held.tier or "", -1)
    if plan.position > now:
        return "An upgrade: begins at once."
    if plan.position == now and price.interval == "year":
        return "The same by the year: begins at once."
    return "Begins when what you have is over." if price.amount == 0 else "Begins with your next renewal."


def _saving(plan: Plan, price: Price, costs: Mapping[str, tuple[int, str]]) -> int | None:
    monthly = plans.price_for(plan, "month")
    if price.interval != "year" or monthly is None or monthly.interval != "month":
        return None
    (each, currency), (yearly, other) = costs[monthly.key], costs[price.key]
    return (max(each * MONTHS_A_YEAR - yearly, 0) or None) if currency == other else None
