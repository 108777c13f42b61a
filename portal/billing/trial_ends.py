"""Ending the trials that were refused: the plan begins at once, and is paid for."""

import structlog
from sqlalchemy import select

from portal import clock, gateway, mail, money
from portal.billing import subscriptions, words
from portal.errors import StripeRefused, StripeUnavailable
from portal.extensions import db
from portal.models import Plan, TrialUse
from portal.purchases import claims

log = structlog.get_logger()


def run() -> int:
    """The tick's chore: end what was refused; gives how many. Commits as it goes, safe beside itself."""
    refused = db.session.execute(select(TrialUse).filter_by(state="refused").order_by(TrialUse.id)).scalars().all()
    db.session.commit()
    return sum(_end(use) for use in refused)


def _end(use: TrialUse) -> bool:
    """Call, then confirm. Where Stripe refuses, the trial goes on: the log tells, and a person has to look."""
    lane = gateway.of(use.mode)
    try:
        claims.call(
            use,
            lambda key: lane.update_subscription(use.subscription_id, {"trial_end": "now"}, key),
            find=lambda _named: _ended(use),
        )
        use.state, use.ended_at = "ended", clock.now(use.customer.clock_at)
    except StripeRefused as refused:
        log.error("trial_not_ended", subscription=use.subscription_id, code=refused.stripe_code)
        use.state = "granted"
    except StripeUnavailable:
        return False  # the claim stands: the next tick asks again
    if use.state == "ended":
        _tell(use)
    db.session.commit()
    subscriptions.sync(use.mode, use.subscription_id)
    return use.state == "ended"


def _ended(use: TrialUse) -> gateway.Subscription | None:
    """The subscription, once it is in no trial any more."""
    found = gateway.of(use.mode).subscription(use.subscription_id)
    return found if found.status != "trialing" else None


def _tell(use: TrialUse) -> None:
    subscription = subscriptions.by_stripe_id(use.mode, use.subscription_id)
    if subscription is None:
        return
    plans = {plan.tier: plan for plan in db.session.execute(select(Plan)).scalars()}
    mail.tell(
        use.customer,
        "trial_ended_early",
        f"trial-ended-early:{use.subscription_id}",
        plan=words.name(subscription, plans),
        amount=subscription.amount,
        currency=subscription.currency,
        how_often=money.every(subscription.interval, subscription.interval_count),
        page=mail.external("billing.overview"),
    )
