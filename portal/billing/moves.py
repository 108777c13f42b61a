"""Which other plans and cycles a customer can move to, and from when."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from portal import money
from portal.errors import Conflict, InvalidInput
from portal.models import Plan, Subscription
from portal.pages import date_text
from portal.purchases import items
from portal.purchases.items import Item

DAYS = {"day": 1, "week": 7, "month": 30, "year": 365}  # roughly: enough to tell the longer cycle


class NotChangeable(Conflict):
    """The plan cannot be changed as things stand."""

    code = "not_changeable"
    title = "Your plan cannot be changed just now"


@dataclass(frozen=True)
class Move:
    """A change that is possible. More is given at once, less from the next renewal on: it is paid until then."""

    item: Item
    is_now: bool
    is_higher: bool  # another plan above this one; with the same plan, false


def changeable(subscription: Subscription | None) -> Subscription:
    """A plan that can be changed as it stands. Raises NotChangeable with what to do first."""
    if subscription is None or subscription.tier is None:
        raise NotChangeable(
            "You have no paid plan yet. Choose one to begin.", action=("/pricing", "Choose a plan")
        )
    reason = _reason_against(subscription)
    if reason:
        raise NotChangeable(reason, money="Nothing was changed.", action=("/billing", "See your billing"))
    return subscription


def _reason_against(subscription: Subscription) -> str | None:
    if subscription.status not in ("active", "trialing"):
        return "A payment is open. Pay it first, then the plan can be changed."
    if subscription.cancel_at:
        return f"Your plan is cancelled and ends on {date_text(subscription.cancel_at)}. Resume it first."
    if subscription.pending_until:
        return "An earlier change waits for its payment to be confirmed. Confirm it first."
    return None


def all_of(subscription: Subscription, plans: Sequence[Plan]) -> list[Move]:
    """Every other plan and cycle on sale that is paid in the same currency, as the catalogue has them."""
    return [
        _move(subscription, item, plans)
        for item in _on_sale(plans, subscription.mode)
        if _refusal(subscription, item) is None
    ]


def find(subscription: Subscription, word: str, plans: Sequence[Plan]) -> Move:
    """The move that `word` names, a catalogue key or an allowed price id. May ask Stripe; commits.

    Raises InvalidInput for the same plan, and for one that is hidden, withdrawn or of another currency.
    """
    item = items.find(word, subscription.mode)
    refusal = _refusal(subscription, item)
    if refusal:
        action = ("/billing/cancel", "Cancel plan") if item.amount == 0 else ("/billing/change", "See the others")
        raise InvalidInput(refusal, errors={"price": refusal}, money="Nothing was changed.", action=action)
    return _move(subscription, item, plans)


def _on_sale(plans: Sequence[Plan], mode: str) -> Iterator[Item]:
    for plan in plans:
        for price in plan.prices:
            hidden = plan.hidden or plan.withdrawn or price.withdrawn
            if not hidden and price.stripe_id(mode) and (item := items.of_price(price, mode)):
                yield item


def _refusal(subscription: Subscription, item: Item) -> str | None:
    """Why nobody moves there, in words."""
    if item.stripe_id is not None and item.stripe_id == subscription.price_id:
        return f"You are on {item.name} already, paid {money.cycle(item.interval, item.interval_count)}."
    if item.amount == 0:
        return f"{item.name} costs nothing: cancel your plan, and you are there when it ends."
    if item.currency != subscription.currency:
        paid, asked = subscription.currency.upper(), item.currency.upper()
        return f"Your plan is paid in {paid}, this one in {asked}. Cancel yours first, then choose it."
    if item.interval is None or item.metered:
        return f"{item.name} cannot take the place of a plan."
    return None


def _move(subscription: Subscription, item: Item, plans: Sequence[Plan]) -> Move:
    positions = {plan.tier: plan.position for plan in plans}
    asked, held = (positions.get(tier or "", -1) for tier in (item.tier, subscription.tier))
    longer = _days(item.interval, item.interval_count) > _days(subscription.interval, subscription.interval_count)
    is_now = subscription.status == "trialing" or (asked, longer) > (held, False)
    return Move(item, is_now=is_now, is_higher=asked > held)


def _days(interval: str | None, count: int) -> int:
    """About how long a cycle is: an adopted subscription, or a price of the operator's own, may have any."""
    return DAYS[interval or "month"] * count
