"""Cancelling a plan at the period's end, and resuming it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from portal import gateway
from portal.billing import subscriptions
from portal.billing.lifecycle import contradictions
from portal.billing.plan_change import change_requests, steps
from portal.billing.plan_change.change_requests import NotAccepted
from portal.billing.status import labels
from portal.catalogue import plans
from portal.customers import access
from portal.enums import Mode
from portal.errors import Conflict, InvalidInput
from portal.extensions import db
from portal.models import Customer, Invoice, Plan, Subscription, SubscriptionStatus
from portal.models.subscription import CancellationReason

LONGEST_COMMENT = 1000


class NothingToCancel(Conflict):
    """There is no active plan to cancel."""

    code = "nothing_to_cancel"
    title = "There is nothing to cancel"


class NothingToResume(Conflict):
    """No plan is scheduled to end."""

    code = "nothing_to_resume"
    title = "There is nothing to resume"


def cancellable(
    customer: Customer | None, stripe_id: str = "", every: Sequence[Plan] | None = None
) -> Subscription:
    """Return the customer's plan, or the named one, if it is active and no end is scheduled. Commits.

    Before it refuses, it syncs with Stripe. Raises NothingToCancel, NotFound.
    """
    return contradictions.checked(customer, lambda: _cancellable(customer, stripe_id, every))


def _cancellable(customer: Customer | None, stripe_id: str, every: Sequence[Plan] | None = None) -> Subscription:
    subscription = subscriptions.chosen(customer, every or plans.every_plan(), stripe_id)
    action = ("/billing", "See your billing")
    if subscription is None or not subscription.status.is_running:
        ended = subscription or _last_ended(customer)
        words = labels.ended(ended) if ended else "You have no plan that could be cancelled."
        raise NothingToCancel(words, action=action)
    if subscription.cancel_at:
        words = "Your plan is cancelled already. You keep it until the end that the billing page names."
        raise NothingToCancel(words, action=action)
    return subscription


def _last_ended(customer: Customer | None) -> Subscription | None:
    """Return the customer's plan that ended last."""
    if customer is None:
        return None
    query = select(Subscription).filter_by(customer_id=customer.id)
    query = query.where(Subscription.tier.is_not(None), Subscription.ended_at.is_not(None))
    return db.session.execute(query.order_by(Subscription.ended_at.desc()).limit(1)).scalar_one_or_none()


def cancel(customer: Customer | None, reason: str = "", comment: str = "", *, stripe_id: str = "") -> Subscription:
    """Cancel the customer's plan at the end of the paid period or trial. Commits; can be repeated.

    `reason` is one of Stripe's codes, or empty. Raises InvalidInput, NothingToCancel, UnderWay, StripeUnavailable.
    """
    if reason and reason not in list(map(str, CancellationReason)):
        raise InvalidInput(
            "Choose one of the reasons.", errors={"reason": "one of " + ", ".join(CancellationReason)}
        )
    if len(comment) > LONGEST_COMMENT:
        words = f"At most {LONGEST_COMMENT} characters."
        raise InvalidInput(words, errors={"comment": words})
    subscription = cancellable(customer, stripe_id)
    details = {"feedback": reason, "comment": comment}
    params = {
        "cancel_at_period_end": True,
        "cancellation_details": {name: value for name, value in details.items() if value},
    }
    return _told(subscription, "cancel", params, lambda: _cancellable(customer, stripe_id))


@dataclass(frozen=True)
class After:
    """What is left without a subscription: its own name, the plan then, and what goes on to be charged."""

    subscription: Subscription
    name: str
    plan_name: str
    going_on: list[str]


def after(customer: Customer | None, stripe_id: str = "") -> After:
    """Return what is left once what `cancellable` returns has ended. Raises the same."""
    every = plans.every_plan()
    subscription = cancellable(customer, stripe_id, every)
    assert customer is not None  # whose subscription it is
    by_tier = {plan.tier: plan for plan in every}
    others = [one for one in subscriptions.of_customer(customer.id) if one.id != subscription.id]
    going_on = [one for one in others if one.cancel_at is None and one.status.is_running]
    return After(
        subscription,
        labels.name(subscription, by_tier),
        access.of(customer, plans=every, subscriptions=going_on).plan_name,
        [labels.name(one, by_tier) for one in going_on],
    )


def refunded_with(mode: Mode, invoice_id: str | None) -> Subscription | None:
    """Return the active subscription that an invoice was for. A refund of it can cancel it in the same step."""
    query = (
        select(Subscription)
        .join(Invoice, (Invoice.mode == Subscription.mode) & (Invoice.subscription_id == Subscription.stripe_id))
        .where(
            Invoice.mode == mode,
            Invoice.stripe_id == invoice_id,
            Subscription.status.in_(SubscriptionStatus.running()),
        )
    )
    return db.session.execute(query).scalar_one_or_none()


def end(subscription: Subscription) -> None:
    """Cancel a subscription immediately, as an admin does. Commits. Raises Conflict, UnderWay,
    StripeUnavailable.
    """
    change = change_requests.claim(subscription, "cancel", {"end": True})
    try:
        change_requests.carry_out(change, lambda: steps.forward(change))
    except NotAccepted:
        db.session.refresh(subscription)
        if subscription.status.is_final:  # it had ended at Stripe already
            return
        raise
    change_requests.finish(change)


def resume(customer: Customer | None, *, stripe_id: str = "") -> Subscription:
    """Keep a plan that is scheduled to end, whichever way it was scheduled. A trial keeps its end. Commits.

    Raises NothingToResume, NotFound, UnderWay, StripeUnavailable.
    """
    subscription = contradictions.checked(customer, lambda: _resumable(customer, stripe_id))
    db.session.commit()
    facts = gateway.of(subscription.mode).subscription(subscription.stripe_id)
    params = {"cancel_at_period_end": False} if facts.at_period_end else {"cancel_at": ""}
    return _told(subscription, "resume", params, lambda: _resumable(customer, stripe_id))


def _resumable(customer: Customer | None, stripe_id: str) -> Subscription:
    subscription = subscriptions.chosen(customer, plans.every_plan(), stripe_id)
    if subscription is None or not subscription.status.is_running:
        raise NothingToResume(
            "Your plan has ended, so it cannot be resumed. Choose it again to have it back.",
            action=("/pricing", "Choose a plan"),
        )
    if subscription.cancel_at is None:
        raise NothingToResume(
            "Your plan goes on already: no end is scheduled.", action=("/billing", "See your billing")
        )
    return subscription


def _told(
    subscription: Subscription, kind: str, params: dict[str, Any], check: Callable[[], object]
) -> Subscription:
    """Claim, call, confirm. A schedule at Stripe controls the end itself, so it is released first.

    If Stripe refuses, our copy is synced, and `check` raises what is so.
    """
    db.session.commit()
    told: dict[str, Any] = {"release": subscription.schedule_id, "update": params}
    if subscription.schedule_id:
        facts = gateway.of(subscription.mode).subscription(subscription.stripe_id)
        told["before"] = steps.planned(facts, subscription)
    change = change_requests.claim(subscription, kind, told)
    try:
        change_requests.carry_out(change, lambda: steps.forward(change))
    except NotAccepted:
        check()
        raise
    change_requests.finish(change)
    db.session.refresh(subscription)
    return subscription
