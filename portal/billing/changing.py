"""Moving a subscription to another plan or cycle: now, or at the next renewal."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from portal import gateway
from portal.billing import changes, debits, moves, plans, quotes, steps, subscriptions
from portal.billing.quotes import Outdated, Outline, Quote
from portal.errors import Conflict, PortalError, StripeRefused, StripeUnavailable
from portal.extensions import db
from portal.models import Customer, Plan, Subscription, SubscriptionChange

NOTHING = "Nothing was changed, and you were not charged."


class Declined(PortalError):
    """The payment for a change did not go through; the plan is what it was."""

    status = 402
    code = "payment_declined"
    title = "The payment did not go through"


class NeedsCard(Conflict):
    """The change has to be paid for, and nothing is saved that could be charged."""

    code = "needs_card"
    title = "A card is needed first"


class NothingScheduled(Conflict):
    """No change waits for the next renewal."""

    code = "nothing_scheduled"
    title = "No change is planned"


@dataclass(frozen=True)
class Outcome:
    """What became of a confirmed change. `confirm_url`: where its payment is confirmed with the bank.

    `is_on_its_way`: its payment takes days.
    """

    quote: Quote
    subscription: Subscription
    confirm_url: str | None = None
    is_on_its_way: bool = False


def offers(customer: Customer | None) -> tuple[Subscription, list[Outline]]:
    """The plan as it is, and every other one with what it costs today. Asks Stripe; commits."""
    all_plans = plans.every_plan()
    customer, subscription = _mine(customer, all_plans)
    try:
        facts = subscriptions.current(subscription)
    except StripeUnavailable:
        facts = None
    found = moves.all_of(moves.changeable(subscription), all_plans)
    return subscription, quotes.outlines(subscription, facts, found, quotes.now_of(customer))


def preview(customer: Customer | None, word: str, moment: datetime | None = None) -> Quote:
    """What a move to `word` costs, prorated as of `moment` (default: now). Asks Stripe; commits.

    Raises InvalidInput, NotChangeable, Outdated, StripeUnavailable.
    """
    return _quoted(customer, word, moment)[1]


def _quoted(
    customer: Customer | None, word: str, moment: datetime | None
) -> tuple[Subscription, Quote, gateway.Subscription]:
    all_plans = plans.every_plan()
    customer, subscription = _mine(customer, all_plans)
    try:
        facts = subscriptions.current(subscription)
        move = moves.find(moves.changeable(subscription), word, all_plans)
        db.session.commit()
        quote = quotes.of(customer, subscription, facts, move, moment or quotes.now_of(customer))
    except (StripeUnavailable, StripeRefused) as error:
        error.money = NOTHING
        raise
    return subscription, quote, facts


def _mine(customer: Customer | None, all_plans: Sequence[Plan]) -> tuple[Customer, Subscription]:
    subscription = moves.changeable(subscriptions.chosen(customer, all_plans))
    db.session.commit()
    assert customer is not None
    return customer, subscription


def confirm(customer: Customer | None, word: str, digest: str, moment: datetime) -> Outcome:
    """Do what was previewed, if it still costs the same. Commits; of two at once one is done.

    Raises what `preview` does, and Outdated, NeedsCard, UnderWay, Declined.
    """
    subscription, quote, facts = _quoted(customer, word, moment)
    if quote.digest != digest:
        raise Outdated("What the change costs is not what you were shown. Look again.", money=NOTHING)
    if quote.needs_card:
        raise NeedsCard("This change has to be paid today. Save a card first.", money=NOTHING)
    if quote.move.is_now:
        return _now(subscription, quote, facts)
    return _at_renewal(subscription, quote, facts)


def keep(customer: Customer | None, *, stripe_id: str = "") -> Subscription:
    """Drop the change that waits for the next renewal of the plan, or of the subscription that is named. Commits.

    Raises NothingScheduled, NotFound, UnderWay, StripeUnavailable.
    """
    subscription = subscriptions.chosen(customer, plans.every_plan(), stripe_id)
    if subscription is None or subscription.schedule_id is None:
        raise NothingScheduled("Your plan stays as it is already.", action=("/billing", "See your billing"))
    change = changes.claim(subscription, "unschedule", {"release": subscription.schedule_id})
    changes.carry_out(change, lambda: steps.forward(change))
    changes.finish(change)
    db.session.refresh(subscription)
    return subscription


def _now(subscription: Subscription, quote: Quote, facts: gateway.Subscription) -> Outcome:
    """More is given at once. A card pays first: until then nothing changes, and a decline leaves the plan."""
    params: dict[str, Any] = {"items": [quotes.replaced(facts, subscription, quote.move)]}
    told: dict[str, Any] = {"release": facts.schedule, "before": steps.planned(facts, subscription)}
    if subscription.status == "trialing":
        params |= {"proration_behavior": "none"}
    else:
        moment = int(quote.moment.timestamp())
        params |= {"proration_behavior": "always_invoice", "proration_date": moment}
        params |= {"payment_behavior": "pending_if_incomplete"}
        if debits.is_slow(facts):
            params |= {"payment_behavior": "allow_incomplete"}
            told |= debits.told(subscription, quote.move.item, params["items"])
    change = changes.claim(subscription, "change", told | {"update": params})
    updated = changes.carry_out(change, lambda: steps.forward(change))
    ended = changes.follow(change, updated)
    if ended == "declined":
        raise _declined(is_card=not debits.is_slow(facts))
    if ended == "paying":
        debits.tell_on_its_way(change, quote.move.item.name)
    db.session.refresh(subscription)
    url = _confirm_url(change) if ended == "waits" else None
    return Outcome(quote, subscription, url, is_on_its_way=ended == "paying")


def _confirm_url(change: SubscriptionChange) -> str | None:
    """Where the payer confirms the payment."""
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
    """Less is given from the next renewal on; a schedule at Stripe brings it about."""
    item = quote.move.item
    assert item.stripe_id is not None
    wanted = steps.plan(facts, subscription.price_id, item.stripe_id, (item.interval, item.interval_count))
    told = {"release": facts.schedule, "before": steps.planned(facts, subscription), "planned": wanted}
    change = changes.claim(subscription, "schedule", told)
    changes.carry_out(change, lambda: steps.forward(change))
    changes.finish(change)
    db.session.refresh(subscription)
    return Outcome(quote, subscription)
