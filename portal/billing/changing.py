"""Moving a subscription to another plan or cycle: now, or at the next renewal."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from portal import gateway
from portal.billing import changes, moves, plans, quotes, subscriptions
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
    """What became of a confirmed change. `confirm_url`: where its payment is confirmed with the bank."""

    quote: Quote
    subscription: Subscription
    confirm_url: str | None = None


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
    try:
        if quote.move.is_now:
            return _now(subscription, quote, facts)
        return _at_renewal(subscription, quote, facts)
    except StripeRefused as refusal:
        raise changes.not_accepted() from refusal


def keep(customer: Customer | None, *, stripe_id: str = "") -> Subscription:
    """Drop the change that waits for the next renewal of the plan, or of the subscription that is named. Commits.

    Raises NothingScheduled, NotFound, UnderWay, StripeUnavailable.
    """
    subscription = subscriptions.chosen(customer, plans.every_plan(), stripe_id)
    if subscription is None or subscription.schedule_id is None:
        raise NothingScheduled("Your plan stays as it is already.", action=("/billing", "See your billing"))
    change = changes.claim(subscription, "unschedule", {"release": subscription.schedule_id})
    try:
        changes.carry_out(change, lambda key: changes.release(change, key))
    except StripeRefused as refusal:
        raise changes.not_accepted() from refusal
    changes.finish(change)
    db.session.refresh(subscription)
    return subscription


def _now(subscription: Subscription, quote: Quote, facts: gateway.Subscription) -> Outcome:
    """More is given at once. Until it is paid, nothing changes at Stripe: a decline leaves the old plan."""
    params: dict[str, Any] = {"items": [quotes.replaced(facts, subscription, quote.move)]}
    if subscription.status == "trialing":
        params |= {"proration_behavior": "none"}
    else:
        moment = int(quote.moment.timestamp())
        params |= {"proration_behavior": "always_invoice", "proration_date": moment}
        params |= {"payment_behavior": "pending_if_incomplete"}
    told = {"release": facts.schedule, "update": params, "planned": _planned(subscription, facts)}
    change = changes.claim(subscription, "change", told)
    updated = changes.carry_out(change, lambda key: changes.apply(change, key))
    url = _unpaid(change, updated) if updated.pending_until and updated.latest_invoice else None
    changes.finish(change, invoice=updated.latest_invoice)
    db.session.refresh(subscription)
    return Outcome(quote, subscription, url)


def _unpaid(change: SubscriptionChange, updated: gateway.Subscription) -> str | None:
    """Where the payer confirms the payment. A declined one ends the change: nobody pays that invoice later."""
    assert updated.latest_invoice is not None
    invoice_id = updated.latest_invoice
    invoice = gateway.of(change.mode).invoice(invoice_id)
    if invoice.needs_action:
        return invoice.hosted_url
    changes.carry_out(change, lambda key: _undo(change, invoice_id, key))
    changes.finish(change, "failed", invoice=invoice_id)
    raise Declined(
        "Your card was declined. Your plan is as it was.",
        money="You were not charged.",
        action=("/billing/change", "See the plans"),
    )


def _undo(change: SubscriptionChange, invoice_id: str, key: str) -> None:
    """Nothing to pay, and what was planned before is planned again: it was let go of for this change alone."""
    gateway.of(change.mode).void_invoice(invoice_id, f"{key}-void")
    if change.params["planned"]:
        _schedule(change, f"{key}-again")


def _planned(subscription: Subscription, facts: gateway.Subscription) -> dict[str, Any] | None:
    """What a schedule will bring, to be planned again from this alone."""
    if facts.schedule is None or subscription.next_price_id is None:
        return None
    return {
        "from": subscription.price_id,
        "to": subscription.next_price_id,
        "interval": subscription.next_interval,
        "interval_count": subscription.next_interval_count,
    }


def _at_renewal(subscription: Subscription, quote: Quote, facts: gateway.Subscription) -> Outcome:
    """Less is given from the next renewal on; a schedule at Stripe brings it about."""
    item = quote.move.item
    planned = {
        "from": subscription.price_id,
        "to": item.stripe_id,
        "interval": item.interval,
        "interval_count": item.interval_count,
    }
    change = changes.claim(subscription, "schedule", {"release": facts.schedule, "planned": planned})
    changes.carry_out(change, lambda key: _replaced(change, key))
    changes.finish(change)
    db.session.refresh(subscription)
    return Outcome(quote, subscription)


def _replaced(change: SubscriptionChange, key: str) -> None:
    changes.release(change, key)
    _schedule(change, key)


def _schedule(change: SubscriptionChange, key: str) -> None:
    """What runs now, to its end; then the same with the other price, and no schedule any more."""
    lane, params = gateway.of(change.mode), change.params["planned"]
    schedule = lane.create_schedule(change.subscription_id, f"{key}-create")
    now = schedule.phases[0]
    items = [item | {"price": params["to"]} if item["price"] == params["from"] else item for item in now.items]
    cycle = {name: params[name] for name in ("interval", "interval_count")}
    phases = [
        {
            "items": list(now.items),
            "start_date": int(now.starts.timestamp()),
            "end_date": int(now.ends.timestamp()),
        },
        {"items": items, "proration_behavior": "none", "duration": cycle},
    ]
    lane.update_schedule(schedule.id, {"phases": phases, "end_behavior": "release"}, f"{key}-phases")
