"""Leaving a plan at the period's end, and staying after all."""

from typing import Any

from sqlalchemy import select

from portal import gateway
from portal.billing import changes, plans, steps, subscriptions
from portal.errors import Conflict, InvalidInput
from portal.extensions import db
from portal.models import Customer, Invoice, Subscription

# Stripe's own codes (https://docs.stripe.com/api/subscriptions/update, cancellation_details.feedback).
REASONS = {
    "too_expensive": "It costs too much",
    "missing_features": "Something I need is missing",
    "switched_service": "I have found something else",
    "unused": "I don't use it enough",
    "customer_service": "I was not helped well",
    "too_complex": "It is too complicated",
    "low_quality": "It does not work well enough",
    "other": "Another reason",
}
LONGEST_COMMENT = 1000
RUNNING = ("active", "trialing", "past_due", "unpaid", "paused")


class NothingToCancel(Conflict):
    """No plan runs that could be cancelled."""

    code = "nothing_to_cancel"
    title = "There is nothing to cancel"


class NothingToResume(Conflict):
    """No plan waits for its end."""

    code = "nothing_to_resume"
    title = "There is nothing to resume"


def cancellable(customer: Customer | None, stripe_id: str = "") -> Subscription:
    """The customer's plan, or the one that is named, where it runs and no end is scheduled.

    Raises NothingToCancel, NotFound.
    """
    subscription = subscriptions.chosen(customer, plans.every_plan(), stripe_id)
    if subscription is None or subscription.status not in RUNNING:
        raise NothingToCancel(
            "You have no plan that could be cancelled: nothing is charged.",
            action=("/billing", "See your billing"),
        )
    if subscription.cancel_at:
        raise NothingToCancel(
            "Your plan is cancelled already. You keep it until the end that the billing page names.",
            action=("/billing", "See your billing"),
        )
    return subscription


def cancel(customer: Customer | None, reason: str = "", comment: str = "", *, stripe_id: str = "") -> Subscription:
    """End the customer's plan at the end of what is paid, or of the trial. Commits; safe when asked twice.

    `reason` is one of Stripe's codes, or empty. Raises InvalidInput, NothingToCancel, UnderWay, StripeUnavailable.
    """
    if reason and reason not in REASONS:
        raise InvalidInput("Choose one of the reasons.", errors={"reason": "one of " + ", ".join(REASONS)})
    if len(comment) > LONGEST_COMMENT:
        words = f"At most {LONGEST_COMMENT} characters."
        raise InvalidInput(words, errors={"comment": words})
    subscription = cancellable(customer, stripe_id)
    details = {"feedback": reason, "comment": comment}
    params = {
        "cancel_at_period_end": True,
        "cancellation_details": {name: value for name, value in details.items() if value},
    }
    return _told(subscription, "cancel", params)


def refunded_with(mode: str, invoice_id: str | None) -> Subscription | None:
    """The running subscription that an invoice was for: a refund of it may end it in the same step."""
    query = (
        select(Subscription)
        .join(Invoice, (Invoice.mode == Subscription.mode) & (Invoice.subscription_id == Subscription.stripe_id))
        .where(Invoice.mode == mode, Invoice.stripe_id == invoice_id, Subscription.status.in_(RUNNING))
    )
    return db.session.execute(query).scalar_one_or_none()


def end(subscription: Subscription) -> None:
    """End a subscription now, as an admin does. Commits. Raises Conflict, UnderWay, StripeUnavailable."""
    change = changes.claim(subscription, "cancel", {"end": True})
    changes.carry_out(change, lambda: steps.forward(change))
    changes.finish(change)


def resume(customer: Customer | None, *, stripe_id: str = "") -> Subscription:
    """Keep a plan whose end is scheduled, whichever way that was done. A trial keeps its end. Commits.

    Raises NothingToResume, NotFound, UnderWay, StripeUnavailable.
    """
    subscription = subscriptions.chosen(customer, plans.every_plan(), stripe_id)
    if subscription is None or subscription.status not in RUNNING:
        raise NothingToResume(
            "Your plan has ended, so it cannot be resumed. Choose it again to have it back.",
            action=("/pricing", "Choose a plan"),
        )
    if subscription.cancel_at is None:
        raise NothingToResume(
            "Your plan goes on already: no end is scheduled.", action=("/billing", "See your billing")
        )
    db.session.commit()
    facts = gateway.of(subscription.mode).subscription(subscription.stripe_id)
    params = {"cancel_at_period_end": False} if facts.at_period_end else {"cancel_at": ""}
    return _told(subscription, "resume", params)


def _told(subscription: Subscription, kind: str, params: dict[str, Any]) -> Subscription:
    """Claim, call, confirm. A schedule at Stripe decides about the end itself, so it is released first."""
    db.session.commit()
    told: dict[str, Any] = {"release": subscription.schedule_id, "update": params}
    if subscription.schedule_id:
        facts = gateway.of(subscription.mode).subscription(subscription.stripe_id)
        told["before"] = steps.planned(facts, subscription)
    change = changes.claim(subscription, kind, told)
    changes.carry_out(change, lambda: steps.forward(change))
    changes.finish(change)
    db.session.refresh(subscription)
    return subscription
