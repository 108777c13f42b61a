"""What a move to another plan costs, as Stripe itself reckons it."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from portal import clock, gateway
from portal.billing.moves import Move
from portal.errors import Conflict, StripeUnavailable
from portal.models import Customer, Subscription

log = structlog.get_logger()

GOOD_FOR = timedelta(minutes=15)


class Outdated(Conflict):
    """What was agreed to is not what it would cost now."""

    code = "preview_outdated"
    title = "The price has changed"


@dataclass(frozen=True)
class Quote:
    """A move and its costs. `lines` are today's, a credit below zero; `moment` is when Stripe prorates as of.

    `left_over` is what a credit exceeds today's costs by: it stays with the customer and pays what comes next.
    """

    move: Move
    moment: datetime
    valid_until: datetime
    starts_at: datetime
    due_today: int
    credited: int
    left_over: int
    lines: tuple[gateway.Line, ...]
    next_amount: int
    next_at: datetime
    needs_card: bool
    digest: str
    replaces_at: datetime | None = None  # when what it takes the place of was planned for


@dataclass(frozen=True)
class Outline:
    """A move in a list. `due_today` is None where Stripe does not answer."""

    move: Move
    due_today: int | None
    starts_at: datetime | None


def now_of(customer: Customer) -> datetime:
    """The customer's now, in whole seconds as Stripe counts them."""
    return clock.now(customer.clock_at).replace(microsecond=0)


def outlines(
    subscription: Subscription, facts: gateway.Subscription | None, moves: Sequence[Move], moment: datetime
) -> list[Outline]:
    """What each move costs today, asked of Stripe all at once; `facts` None says that it does not answer."""
    costly = [move for move in moves if move.is_now and subscription.status != "trialing"]
    due: dict[str, int] = {}
    if facts is not None:
        wanted = [_params(facts, subscription, move, moment) for move in costly]
        try:
            previews = gateway.of(subscription.mode).previews(wanted) if wanted else []
            due = {move.item.key: one.amount_due for move, one in zip(costly, previews, strict=True)}
        except StripeUnavailable:
            log.warning("previews_unavailable", subscription=subscription.stripe_id)
    return [
        Outline(
            move,
            due_today=due.get(move.item.key) if move in costly else 0,
            starts_at=None if move.is_now else subscription.current_period_end,
        )
        for move in moves
    ]


def of(
    customer: Customer, subscription: Subscription, facts: gateway.Subscription, move: Move, moment: datetime
) -> Quote:
    """The costs of one move, prorated as of `moment`. Call it outside transactions. Raises Outdated."""
    now = now_of(customer)
    if not now - GOOD_FOR <= moment <= now + timedelta(minutes=1):
        raise Outdated(
            "These amounts were reckoned too long ago. Here they are anew.", money="Nothing was changed."
        )
    lane = gateway.of(subscription.mode)
    today = None
    if move.is_now and subscription.status != "trialing":
        today = lane.preview(_params(facts, subscription, move, moment))
    period_end = subscription.current_period_end or now
    asked, held = ((one.interval, one.interval_count) for one in (move.item, subscription))
    same_cycle = asked == held
    next_at = period_end if today is None or same_cycle else today.period_end
    next_amount = move.item.amount * subscription.quantity
    if same_cycle:
        next_amount = lane.preview(_params(facts, subscription, move, None)).amount_due
    can_pay = _can_pay(facts, moment) and customer.user.trusts_card(facts.method_saved_at)
    return _quote(subscription, move, moment, today, next_amount, next_at, can_pay=can_pay)


def _quote(
    subscription: Subscription,
    move: Move,
    moment: datetime,
    today: gateway.Preview | None,
    next_amount: int,
    next_at: datetime,
    *,
    can_pay: bool,
) -> Quote:
    due = today.amount_due if today else 0
    lines = today.lines if today else ()
    is_now = move.is_now
    agreed = (subscription.stripe_id, subscription.price_id, subscription.quantity, move.item.stripe_id, is_now)
    # Not `next_at`: of a cycle that begins anew it moves on with each second that the customer thinks it over.
    period_end = subscription.current_period_end
    dates = (moment.isoformat(), period_end and period_end.isoformat())
    costs = (due, [line.amount for line in lines], next_amount, dates)
    return Quote(
        move=move,
        moment=moment,
        valid_until=moment + GOOD_FOR,
        starts_at=moment if is_now else next_at,
        due_today=due,
        credited=today.credited if today else 0,
        left_over=max(0, -today.total) if today else 0,
        lines=lines,
        next_amount=next_amount,
        next_at=next_at,
        needs_card=due > 0 and not can_pay,
        digest=hashlib.sha256(json.dumps([agreed, costs]).encode()).hexdigest(),
        replaces_at=subscription.next_at,
    )


def _params(
    facts: gateway.Subscription, subscription: Subscription, move: Move, moment: datetime | None
) -> gateway.Params:
    """What today's invoice would be; without a moment, what the next renewal's would be."""
    details: gateway.Params = {"items": [replaced(facts, subscription, move)], "proration_behavior": "none"}
    if moment is not None:
        details |= {"proration_behavior": "always_invoice", "proration_date": int(moment.timestamp())}
    return {"subscription": subscription.stripe_id, "subscription_details": details}


def replaced(facts: gateway.Subscription, subscription: Subscription, move: Move) -> gateway.Params:
    """The item that decides about the plan, with the new price; others stay as they are. Raises Outdated."""
    item = next((one for one in facts.items if one.price.id == subscription.price_id), None)
    if item is None:
        raise Outdated("Your plan was changed elsewhere a moment ago. Choose again.", money="Nothing was changed.")
    return {"id": item.id, "price": move.item.stripe_id}


def _can_pay(facts: gateway.Subscription, now: datetime) -> bool:
    """Whether something is saved that can be charged; a card whose month is over cannot."""
    card = facts.card
    if card is None:
        return facts.method is not None
    month_after = (card.exp_year, card.exp_month + 1) if card.exp_month < 12 else (card.exp_year + 1, 1)
    return now < datetime(*month_after, 1, tzinfo=UTC)
