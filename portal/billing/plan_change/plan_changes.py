"""Changing a subscription to another plan or cycle, immediately or at the next renewal."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from portal import gateway
from portal.billing import subscriptions
from portal.billing.lifecycle import contradictions
from portal.billing.plan_change import change_requests, debits, options, quotes, slow_payments, steps
from portal.billing.plan_change.quotes import Outdated, Outline, Quote
from portal.catalogue import archived_prices, items, plans
from portal.enums import Mode
from portal.errors import Conflict, PortalError, StripeRefused, StripeUnavailable
from portal.extensions import db
from portal.models import Customer, Plan, Subscription, SubscriptionChange, SubscriptionStatus

WAITS_SECONDS = 5.0  # for another request's change; a call to Stripe takes about one
LOOKS_EVERY_SECONDS = 0.1
NOTHING = "Nothing was changed, and you were not charged."


class Declined(PortalError):
    """The payment for a change failed. The plan is unchanged."""

    status = 402
    code = "payment_declined"
    title = "The payment did not go through"


class NeedsCard(Conflict):
    """The change has to be paid for, and no payment method is saved."""

    code = "needs_card"
    title = "A card is needed first"


class NothingScheduled(Conflict):
    """No change is scheduled for the next renewal."""

    code = "nothing_scheduled"
    title = "No change is planned"


@dataclass(frozen=True)
class Outcome:
    """The result of a confirmed change. `confirm_url` is where the payer authenticates the payment.

    `is_on_its_way`: its payment takes days.
    """

    quote: Quote
    subscription: Subscription
    confirm_url: str | None = None
    is_on_its_way: bool = False
    is_sent: bool = False  # and the customer pays an invoice that was sent


def offers(customer: Customer | None) -> tuple[Subscription, list[Outline]]:
    """Return the current plan, and every other one with its cost today. Calls Stripe; commits."""
    all_plans = plans.every_plan()
    customer, subscription = _mine(customer, all_plans)
    try:
        facts = subscriptions.current(subscription)
    except StripeUnavailable:
        facts = None
    found = options.all_of(options.changeable(subscription), all_plans)
    now = quotes.now_of(customer)
    try:
        return subscription, quotes.outlines(subscription, facts, found, now)
    except StripeRefused:  # perhaps one of the prices is archived, of which no webhook has told
        found = [move for move in found if _is_active(subscription.mode, move)]
        return subscription, quotes.outlines(subscription, facts, found, now)


def _is_active(mode: Mode, move: options.Move) -> bool:
    """Return whether Stripe sells the price of a change, and record it. Commits."""
    return move.item.stripe_id is None or archived_prices.sync(mode, move.item.stripe_id)


def preview(customer: Customer | None, word: str, moment: datetime | None = None) -> Quote:
    """Return the cost of a change to `word`, prorated as of `moment` (default: now). Calls Stripe; commits.

    Raises InvalidInput, NotChangeable, OnItsWay, Outdated, StripeUnavailable.
    """
    return _quoted(customer, word, moment)[1]


def _quoted(
    customer: Customer | None, word: str, moment: datetime | None
) -> tuple[Subscription, Quote, gateway.Subscription]:
    all_plans = plans.every_plan()
    customer, subscription = _mine(customer, all_plans)
    slow_payments.refuse_another(subscription)
    try:
        facts = subscriptions.current(subscription)
        move = options.find(options.changeable(subscription), word, all_plans)
        db.session.commit()
        quote = _quote(customer, subscription, facts, move, moment)
    except (StripeUnavailable, StripeRefused) as error:
        error.money = NOTHING
        raise
    return subscription, quote, facts


def _quote(
    customer: Customer,
    subscription: Subscription,
    facts: gateway.Subscription,
    move: options.Move,
    moment: datetime | None,
) -> Quote:
    """Return the cost of one change. Raises Archived if its price is archived, of which no webhook has told."""
    try:
        return quotes.of(customer, subscription, facts, move, moment or quotes.now_of(customer))
    except StripeRefused:
        if not _is_active(subscription.mode, move):
            raise items.archived(move.item.name, subscription.mode) from None
        raise


def _mine(customer: Customer | None, all_plans: Sequence[Plan]) -> tuple[Customer, Subscription]:
    subscription = contradictions.checked(
        customer, lambda: options.changeable(subscriptions.chosen(customer, all_plans))
    )
    db.session.commit()
    assert customer is not None
    return customer, subscription


def confirm(customer: Customer | None, word: str, digest: str, moment: datetime) -> Outcome:
    """Make the previewed change if it still costs the same. Commits; of two concurrent requests one is executed.

    Raises the errors of `preview`, and Outdated, NeedsCard, UnderWay, Declined.
    """
    subscription, quote, facts = _quoted(customer, word, moment)
    if quote.digest != digest:
        raise Outdated("What the change costs is not what you were shown. Look again.", money=NOTHING)
    if quote.needs_card:
        raise NeedsCard("This change has to be paid today. Save a card first.", money=NOTHING)
    try:
        return (_now if quote.move.is_now else _at_renewal)(subscription, quote, facts)
    except change_requests.NotAccepted:  # our copy is synced
        db.session.refresh(subscription)
        options.changeable(subscription)
        raise


def is_made(customer: Customer | None, word: str) -> bool:
    """Return whether another request has made, or scheduled, the change to `word`. Waits for it; commits."""
    if customer is None:
        return False
    _wait_for_another(customer.id)
    db.session.expire_all()
    subscription = subscriptions.chosen(customer, plans.every_plan())
    wanted = items.find(word, customer.mode).stripe_id
    return subscription is not None and wanted in (subscription.price_id, subscription.next_price_id)


def _wait_for_another(customer_id: int) -> None:
    """Wait until no change of the customer's subscriptions is being carried out, a few seconds at most.

    Of a form that was sent twice at once, the second request waits for the first one's result. Commits.
    """
    query = select(SubscriptionChange.id).filter_by(customer_id=customer_id, state="open").limit(1)
    until = time.monotonic() + WAITS_SECONDS
    while db.session.execute(query).first() and time.monotonic() < until:
        db.session.commit()
        time.sleep(LOOKS_EVERY_SECONDS)
    db.session.commit()


def keep(customer: Customer | None, *, stripe_id: str = "") -> Subscription:
    """Cancel the change scheduled for the next renewal of the plan or of the named subscription. Commits.

    Raises NothingScheduled, NotFound, UnderWay, StripeUnavailable.
    """
    subscription = contradictions.checked(customer, lambda: _scheduled(customer, stripe_id))
    change = change_requests.claim(subscription, "unschedule", {"release": subscription.schedule_id})
    change_requests.carry_out(change, lambda: steps.forward(change))
    change_requests.finish(change)
    db.session.refresh(subscription)
    return subscription


def _scheduled(customer: Customer | None, stripe_id: str) -> Subscription:
    subscription = subscriptions.chosen(customer, plans.every_plan(), stripe_id)
    if subscription is None or subscription.schedule_id is None:
        raise NothingScheduled("Your plan stays as it is already.", action=("/billing", "See your billing"))
    return subscription


def _now(subscription: Subscription, quote: Quote, facts: gateway.Subscription) -> Outcome:
    """Upgrade immediately. A card pays first: nothing changes until then, and a decline leaves the plan."""
    params: dict[str, Any] = {"items": [quotes.replaced(facts, subscription, quote.move)]}
    told: dict[str, Any] = {"release": facts.schedule, "before": steps.planned(facts, subscription)}
    if subscription.status == SubscriptionStatus.TRIALING:
        params |= {"proration_behavior": "none"}
    else:
        moment = int(quote.moment.timestamp())
        params |= {"proration_behavior": "always_invoice", "proration_date": moment}
        params |= {"payment_behavior": "pending_if_incomplete"}
        if debits.is_slow(facts):
            params |= {"payment_behavior": "allow_incomplete"}
            told |= debits.told(subscription, quote.move.item, params["items"]) | {"sent": facts.is_sent}
    change = change_requests.claim(subscription, "change", told | {"update": params})
    updated = change_requests.carry_out(change, lambda: steps.forward(change))
    ended = change_requests.follow(change, updated)
    if ended == "declined":
        raise _declined(is_card=not debits.is_slow(facts))
    is_paying = ended == "paying"
    if is_paying:
        debits.tell_on_its_way(change, quote.move.item.name)
    db.session.refresh(subscription)
    url = _confirm_url(change) if ended == "waits" else None
    return Outcome(quote, subscription, url, is_on_its_way=is_paying, is_sent=is_paying and facts.is_sent)


def _confirm_url(change: SubscriptionChange) -> str | None:
    """Return the URL where the payer authenticates the payment."""
    db.session.commit()
    lane = gateway.of(change.mode)
    invoice_id = lane.subscription(change.subscription_id).latest_invoice
    return lane.invoice(invoice_id).hosted_url if invoice_id else None


def _declined(*, is_card: bool) -> Declined:
    what = "Your card was declined." if is_card else "Your bank did not pay."
    return Declined(
        f"{what} Your plan is as it was.",
        money="You were not charged.",
        action=("/billing/change", "See the plans"),
    )


def _at_renewal(subscription: Subscription, quote: Quote, facts: gateway.Subscription) -> Outcome:
    """Downgrade at the next renewal, with a schedule at Stripe."""
    item = quote.move.item
    assert item.stripe_id is not None
    wanted = steps.plan(facts, subscription.price_id, item.stripe_id, (item.interval, item.interval_count))
    told = {"release": facts.schedule, "before": steps.planned(facts, subscription), "planned": wanted}
    change = change_requests.claim(subscription, "schedule", told)
    change_requests.carry_out(change, lambda: steps.forward(change))
    change_requests.finish(change)
    db.session.refresh(subscription)
    return Outcome(quote, subscription)
