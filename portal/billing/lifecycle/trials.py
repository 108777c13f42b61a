"""Free trials: one per customer and card, even if a plan is cancelled and bought again."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import structlog
from sqlalchemy import exists, select, update
from sqlalchemy.exc import IntegrityError

from portal import audit, clock, gateway
from portal.billing.status.banners import Banner
from portal.catalogue.items import Item
from portal.enums import Mode
from portal.extensions import db, insert
from portal.models import Customer, Plan, Subscription, TrialUse

log = structlog.get_logger()

TOLD_FOR = timedelta(days=14)  # how long the billing page shows that a trial was refused


def had_one(customer: Customer) -> bool:
    """Return whether the customer's trial is used up."""
    return bool(db.session.execute(select(exists().where(TrialUse.customer_id == customer.id))).scalar())


def is_there(customer: Customer | None, plans: Sequence[Plan]) -> bool:
    """Return whether a trial of one of these plans can be offered, including to visitors."""
    return any(plan.trial_days for plan in plans) and not (customer and had_one(customer))


def offered(customer: Customer, item: Item) -> Item:
    """Return the item with its trial, or without it for a customer who had one."""
    return replace(item, trial_days=0) if item.trial_days and had_one(customer) else item


def note(mode: Mode, customer_id: int, facts: gateway.Subscription) -> None:
    """Record who uses a subscription's trial, and refuse a second one that our checkout began. Flushes.

    Called at each sync of a trial, because a card may become known later. Trials that the operator grants manually
    are left alone.
    """
    use = _written(mode, customer_id, facts.id)
    if use.state != "granted":
        return
    fingerprint = facts.card.fingerprint if facts.card else None
    first_of_card = use.fingerprint is not None or fingerprint is None or _claim_card(use, fingerprint)
    by_hand = "purchase" not in facts.metadata or "off_session" in facts.metadata
    if not by_hand and not (first_of_card and _first_of_customer(use)):
        use.state = "refused"
        db.session.flush()
        log.warning("trial_refused", subscription=facts.id, customer=customer_id)
        audit.record("trial.refused", customer_id=customer_id, subject=facts.id, key=f"trial.refused:{facts.id}")


def _written(mode: Mode, customer_id: int, subscription_id: str) -> TrialUse:
    row = {"mode": mode, "subscription_id": subscription_id, "customer_id": customer_id, "state": "granted"}
    statement = insert(TrialUse).values(attempt=1, created_at=clock.now(), **row)
    db.session.execute(statement.on_conflict_do_nothing(index_elements=["mode", "subscription_id"]))
    query = select(TrialUse).filter_by(mode=mode, subscription_id=subscription_id)
    return db.session.execute(query.execution_options(populate_existing=True)).scalar_one()


def _claim_card(use: TrialUse, fingerprint: str) -> bool:
    """Return whether this is the card's first trial, which the unique constraint decides."""
    try:
        with db.session.begin_nested():
            db.session.execute(update(TrialUse).filter_by(id=use.id).values(fingerprint=fingerprint))
    except IntegrityError:
        return False
    return True


def _first_of_customer(use: TrialUse) -> bool:
    earlier = exists().where(TrialUse.customer_id == use.customer_id, TrialUse.id < use.id)
    return not db.session.execute(select(earlier)).scalar()


def refusal(subscription: Subscription, now: datetime) -> list[Banner]:
    """Return the banner of a refused trial, for two weeks."""
    cut_short = subscription.trial_end is not None and subscription.trial_end <= now
    if not cut_short or now - subscription.started_at > TOLD_FOR:
        return []
    query = select(TrialUse).filter_by(
        mode=subscription.mode, subscription_id=subscription.stripe_id, state="ended"
    )
    if db.session.execute(query).scalar_one_or_none() is None:
        return []
    return [Banner("info", "This plan began without a trial: there is one for each customer and each card.")]
