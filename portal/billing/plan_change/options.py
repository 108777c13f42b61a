"""Which other plans and cycles a customer can change to, and when the change takes effect."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from portal import money
from portal.billing.pricing import currencies
from portal.billing.status import labels
from portal.catalogue import items
from portal.catalogue.items import Item
from portal.enums import Mode
from portal.errors import Conflict, InvalidInput
from portal.models import Plan, Subscription, SubscriptionStatus
from portal.web.pages import date_text

DAYS = {"day": 1, "week": 7, "month": 30, "year": 365}  # approximate: enough to find the longer cycle


class NotChangeable(Conflict):
    """The plan cannot be changed in its current state."""

    code = "not_changeable"
    title = "Your plan cannot be changed just now"


class AlreadyOnIt(InvalidInput):
    """The customer has this plan and cycle already."""

    code = "already_on_it"
    title = "You have this plan already"


@dataclass(frozen=True)
class Move:
    """A possible change. Upgrades take effect immediately, downgrades at the next renewal, because the period
    is paid.
    """

    item: Item
    is_now: bool
    is_higher: bool  # a higher plan; false for the same plan


def changeable(subscription: Subscription | None) -> Subscription:
    """Return the plan if it can be changed. Raises NotChangeable with what to do first."""
    if subscription is None or subscription.tier is None:
        raise NotChangeable(
            "You have no paid plan yet. Choose one to begin.", action=("/pricing", "Choose a plan")
        )
    if subscription.status.is_final:
        words = f"{labels.ended(subscription)} Choose a plan to start again."
        raise NotChangeable(words, money="Nothing was changed.", action=("/pricing", "Choose a plan"))
    reason = _reason_against(subscription)
    if reason:
        raise NotChangeable(reason, money="Nothing was changed.", action=("/billing", "See your billing"))
    return subscription


def _reason_against(subscription: Subscription) -> str | None:
    if not subscription.status.in_good_standing:
        return "A payment is open. Pay it first, then the plan can be changed."
    if subscription.cancel_at:
        return f"Your plan is cancelled and ends on {date_text(subscription.cancel_at)}. Resume it first."
    if subscription.pending_until:
        return "An earlier change waits for its payment to be confirmed. Confirm it first."
    return None


def all_of(subscription: Subscription, plans: Sequence[Plan]) -> list[Move]:
    """List every other plan and cycle on sale in the same currency, in the catalogue's order. Ends the
    transaction.
    """
    on_sale = list(_on_sale(plans, subscription.mode))
    sold = currencies.within(on_sale, subscription.currency, subscription.mode)
    return [_move(subscription, item, plans) for item in sold if _refusal(subscription, item) is None]


def find(subscription: Subscription, word: str, plans: Sequence[Plan]) -> Move:
    """Return the change that `word` names, a catalogue key or an allowed price id. May call Stripe; commits.

    Raises AlreadyOnIt for the same plan, InvalidInput for one that is hidden, withdrawn or in another currency.
    """
    (item,) = currencies.within([items.find(word, subscription.mode)], subscription.currency, subscription.mode)
    refusal = _refusal(subscription, item)
    if refusal:
        action = ("/billing/cancel", "Cancel plan") if item.amount == 0 else ("/billing/change", "See the others")
        refuse = AlreadyOnIt if _is_same(subscription, item) else InvalidInput
        raise refuse(refusal, errors={"price": refusal}, money="Nothing was changed.", action=action)
    return _move(subscription, item, plans)


def _on_sale(plans: Sequence[Plan], mode: Mode) -> Iterator[Item]:
    for plan in plans:
        for price in plan.prices:
            hidden = plan.hidden or plan.withdrawn or price.withdrawn
            if not hidden and price.stripe_id(mode) and (item := items.of_price(price, mode)):
                yield item


def _refusal(subscription: Subscription, item: Item) -> str | None:
    """Return why nobody can change to this item, as the page says it."""
    if _is_same(subscription, item):
        return f"You are on {item.name} already, paid {money.cycle(item.interval, item.interval_count)}."
    if item.amount == 0:
        return f"{item.name} costs nothing: cancel your plan, and you are there when it ends."
    if item.currency != subscription.currency:
        return f"{currencies.in_words(subscription.currency, item.currency)} Cancel yours first, then choose it."
    if item.interval is None or item.metered or item.tier is None:
        return f"{item.name} cannot take the place of a plan."
    return None


def _is_same(subscription: Subscription, item: Item) -> bool:
    return item.stripe_id is not None and item.stripe_id == subscription.price_id


def _move(subscription: Subscription, item: Item, plans: Sequence[Plan]) -> Move:
    positions = {plan.tier: plan.position for plan in plans}
    asked, held = (positions.get(tier or "", -1) for tier in (item.tier, subscription.tier))
    longer = _days(item.interval, item.interval_count) > _days(subscription.interval, subscription.interval_count)
    is_now = subscription.status == SubscriptionStatus.TRIALING or (asked, longer) > (held, False)
    return Move(item, is_now=is_now, is_higher=asked > held)


def _days(interval: str | None, count: int) -> int:
    """Return about how long a cycle is. Imported subscriptions and the operator's own prices may have any."""
    return DAYS[interval or "month"] * count
