"""Ending refused trials: the plan begins immediately, and is paid for."""

import structlog
from sqlalchemy import select

from portal import clock, gateway, mail
from portal.billing import subscriptions
from portal.billing.status import labels
from portal.billing.upcoming import prices
from portal.errors import StripeRefused, StripeUnavailable
from portal.extensions import db
from portal.models import Plan, SubscriptionStatus, TrialUse
from portal.sync import idempotency

log = structlog.get_logger()

AT_ONCE = 200


def run() -> int:
    """Scheduled task: end refused trials, and return how many. Commits after each; safe to run concurrently."""
    query = select(TrialUse).filter_by(state="refused").order_by(TrialUse.id).limit(AT_ONCE)
    refused = db.session.execute(query).scalars().all()
    db.session.commit()
    return sum(_end(use) for use in refused)


def _end(use: TrialUse) -> bool:
    """Call, then confirm. If Stripe refuses, the trial continues and an error is logged for an admin."""
    lane = gateway.of(use.mode)
    try:
        idempotency.call(
            use,
            lambda key: lane.update_subscription(use.subscription_id, {"trial_end": "now"}, key),
            find=lambda _named: _ended(use),
        )
        use.state, use.ended_at = "ended", clock.now(use.customer.clock_at)
    except StripeRefused as refused:
        log.error("trial_not_ended", subscription=use.subscription_id, code=refused.stripe_code)
        use.state = "granted"
    except StripeUnavailable:
        return False  # the claim stays open: the next run asks again
    if use.state == "ended":
        _tell(use)
    db.session.commit()
    subscriptions.sync(use.mode, use.subscription_id)
    return use.state == "ended"


def _ended(use: TrialUse) -> gateway.Subscription | None:
    """Return the subscription if it is no longer in a trial."""
    found = gateway.of(use.mode).subscription(use.subscription_id)
    return found if found.status != SubscriptionStatus.TRIALING else None


def _tell(use: TrialUse) -> None:
    subscription = subscriptions.by_stripe_id(use.mode, use.subscription_id)
    if subscription is None:
        return
    plans = {plan.tier: plan for plan in db.session.execute(select(Plan)).scalars()}
    mail.tell(
        use.customer,
        "trial_ended_early",
        f"trial-ended-early:{use.subscription_id}",
        plan=labels.name(subscription, plans),
        price=prices.all_of(subscription),
        page=mail.external("billing.overview"),
    )
