"""The cost of a change to another plan, as Stripe computes it."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import structlog

from portal import clock, gateway
from portal.billing.plan_change.options import Move
from portal.billing.upcoming import prices
from portal.errors import Conflict, StripeRefused, StripeUnavailable
from portal.models import Customer, Subscription, SubscriptionStatus

log = structlog.get_logger()

GOOD_FOR = timedelta(minutes=15)


class Outdated(Conflict):
    """The costs have changed since they were shown."""

    code = "preview_outdated"
    title = "The price has changed"


@dataclass(frozen=True)
class Quote:
    """A change and its costs. `lines` are today's; a credit is negative. `moment` is Stripe's proration date.

    `left_over` is the part of a credit that exceeds today's costs: it stays on the customer's balance and pays
    later invoices.
    """

    move: Move
    moment: datetime
    valid_until: datetime
    starts_at: datetime
    due_today: int
    credited: int
    left_over: int
    lines: tuple[gateway.Line, ...]
    next_amount: int | None  # None if Stripe cannot calculate it
    next_at: datetime
    needs_card: bool
    digest: str
    replaces_at: datetime | None = None  # the date of the scheduled change that this one replaces
    quantity: int = 1
    kept: list[str] = field(default_factory=list)  # the price of each other item, which stays


@dataclass(frozen=True)
class Outline:
    """A change in a list. `due_today` is None if Stripe does not answer."""

    move: Move
    due_today: int | None
    starts_at: datetime | None


def now_of(customer: Customer) -> datetime:
    """Return the customer's current time in whole seconds, as Stripe counts them."""
    return clock.now(customer.clock_at).replace(microsecond=0)


def outlines(
    subscription: Subscription, facts: gateway.Subscription | None, moves: Sequence[Move], moment: datetime
) -> list[Outline]:
    """Return what each change costs today, with concurrent calls to Stripe. `facts` is None if Stripe does not
    answer.
    """
    costly = [move for move in moves if move.is_now and subscription.status != SubscriptionStatus.TRIALING]
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
    """Return the costs of one change, prorated as of `moment`. Call it outside transactions. Raises Outdated."""
    now = now_of(customer)
    if not now - GOOD_FOR <= moment <= now + timedelta(minutes=1):
        raise Outdated(
            "These amounts were reckoned too long ago. Here they are anew.", money="Nothing was changed."
        )
    lane = gateway.of(subscription.mode)
    today = None
    if move.is_now and subscription.status != SubscriptionStatus.TRIALING:
        today = lane.preview(_params(facts, subscription, move, moment))
    period_end = subscription.current_period_end or now
    same_cycle = (move.item.interval, move.item.interval_count) == subscription.cycle
    next_at = period_end if today is None or same_cycle else today.period_end
    next_amount = _next_amount(lane, _following(facts, subscription, move, next_at, today), today)
    can_pay = _can_pay(facts, moment) and customer.user.trusts_card(facts.method_saved_at)
    return _quote(subscription, move, moment, today, next_amount, next_at, can_pay=can_pay)


def _quote(
    subscription: Subscription,
    move: Move,
    moment: datetime,
    today: gateway.Preview | None,
    next_amount: int | None,
    next_at: datetime,
    *,
    can_pay: bool,
) -> Quote:
    due = today.amount_due if today else 0
    lines = today.lines if today else ()
    is_now = move.is_now
    agreed = (subscription.stripe_id, subscription.price_id, subscription.quantity, move.item.stripe_id, is_now)
    # Not `next_at`: for a cycle that starts anew it moves with each second until the customer confirms.
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
        quantity=subscription.quantity,
        kept=prices.listed(subscription.parts[1:]),
    )


def _params(
    facts: gateway.Subscription, subscription: Subscription, move: Move, moment: datetime | None
) -> gateway.Params:
    """Return the parameters of a preview of today's invoice; without a moment, of the next renewal's."""
    details: gateway.Params = {"items": [replaced(facts, subscription, move)], "proration_behavior": "none"}
    if moment is not None:
        details |= {"proration_behavior": "always_invoice", "proration_date": int(moment.timestamp())}
    return {"subscription": subscription.stripe_id, "subscription_details": details}


def _following(
    facts: gateway.Subscription,
    subscription: Subscription,
    move: Move,
    at: datetime,
    today: gateway.Preview | None,
) -> gateway.Params:
    """Return the parameters of a preview of the next invoice after the change, at `at`.

    Today's invoice, if there is one, bills what is pending. If it begins another cycle, it uses up the discounts
    that are for one invoice.
    """
    params = _params(facts, subscription, move, None)
    if today is not None:
        params["preview_mode"] = "recurring"
    is_second = today is not None and (move.item.interval, move.item.interval_count) != subscription.cycle
    lasting = [one for one in facts.discounts if one.lasts(at) and not (one.once and is_second)]
    if len(lasting) < len(facts.discounts):
        params["discounts"] = [{"discount": one.id} for one in lasting] or ""
    return params


def _next_amount(lane: gateway.Lane, params: gateway.Params, today: gateway.Preview | None) -> int | None:
    """Return what the next invoice charges; None if Stripe cannot calculate it. Raises StripeUnavailable."""
    try:
        following = lane.preview(params)
    except StripeRefused as refused:
        log.warning("next_invoice_unknown", subscription=params["subscription"], code=refused.stripe_code)
        return None
    return following.amount_due if today is None else max(0, following.total + today.ending_balance)


def replaced(facts: gateway.Subscription, subscription: Subscription, move: Move) -> gateway.Params:
    """Return the item that decides the plan, with the new price. Other items stay unchanged. Raises Outdated."""
    item = next((one for one in facts.items if one.price.id == subscription.price_id), None)
    if item is None:
        raise Outdated("Your plan was changed elsewhere a moment ago. Choose again.", money="Nothing was changed.")
    return {"id": item.id, "price": move.item.stripe_id}


def _can_pay(facts: gateway.Subscription, now: datetime) -> bool:
    """Return whether a payment method is saved that can be charged. An expired card cannot."""
    card = facts.card
    if card is None:
        return facts.method is not None
    month_after = (card.exp_year, card.exp_month + 1) if card.exp_month < 12 else (card.exp_year + 1, 1)
    return now < datetime(*month_after, 1, tzinfo=UTC)
