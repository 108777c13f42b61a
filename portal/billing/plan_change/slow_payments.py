"""Plan changes whose payment takes days: by bank debit, or by an invoice that was sent."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

import structlog
from sqlalchemy import and_, or_, select, update
from sqlalchemy.orm import joinedload

from portal import clock
from portal.billing.plan_change import change_requests
from portal.billing.status.banners import Banner
from portal.errors import PortalError
from portal.extensions import db, rows_changed
from portal.models import Invoice, Plan, Subscription, SubscriptionChange, SubscriptionStatus

log = structlog.get_logger()

EVERY = timedelta(hours=1)
AT_ONCE = 200


def run() -> int:
    """Scheduled task: ask Stripe about each once an hour, in case its webhook was lost, and return how many.

    Commits after each; safe to run concurrently.
    """
    asked_before = SubscriptionChange.called_at < clock.now() - EVERY
    due = (SubscriptionChange.state == "paying", or_(SubscriptionChange.called_at.is_(None), asked_before))
    query = select(SubscriptionChange).where(*due).order_by(SubscriptionChange.id).limit(AT_ONCE)
    found = db.session.execute(query).scalars().all()
    db.session.commit()
    done = 0
    for change in found:
        mine = update(SubscriptionChange).where(SubscriptionChange.id == change.id, *due)
        is_mine = rows_changed(mine.values(called_at=clock.now()))
        db.session.commit()
        if is_mine:
            _ask(change)
            done += 1
    return done


def _ask(change: SubscriptionChange) -> None:
    try:
        change_requests.follow_payment(change.mode, change.subscription_id)
    except PortalError as reason:  # the others continue; this one is asked about again in an hour
        db.session.rollback()
        log.warning("payment_of_change_not_read", change=change.id, reason=reason.code)


def beside(customer_id: int) -> dict[Subscription, SubscriptionChange | None]:
    """List the customer's subscriptions that have not ended, newest first, each with its unpaid change."""
    paying = and_(
        SubscriptionChange.mode == Subscription.mode,
        SubscriptionChange.subscription_id == Subscription.stripe_id,
        SubscriptionChange.state == "paying",
    )
    query = select(Subscription, SubscriptionChange).outerjoin(SubscriptionChange, paying)
    query = query.options(joinedload(Subscription.price_change))  # for the pages, which show it
    query = query.where(
        Subscription.customer_id == customer_id, Subscription.status.not_in(SubscriptionStatus.final())
    )
    newest_first = query.order_by(Subscription.started_at.desc(), Subscription.id.desc())
    return {row[0]: row[1] for row in db.session.execute(newest_first)}


def invoices_on_their_way(changes: Iterable[SubscriptionChange | None]) -> set[str]:
    """Return the Stripe ids of the open invoices that a bank is paying already: nobody is to pay them again."""
    return {change.params["invoice"] for change in changes if change and _is_debit(change)}


def _is_debit(change: SubscriptionChange) -> bool:
    return "invoice" in change.params and not change.params.get("sent")


def refuse_another(subscription: Subscription) -> None:
    """Refuse other changes while one is being paid for. Ends the transaction. Raises OnItsWay."""
    query = select(SubscriptionChange.id).filter_by(mode=subscription.mode, state="paying")
    paying = db.session.execute(query.filter_by(subscription_id=subscription.stripe_id)).first()
    db.session.commit()
    if paying:
        raise change_requests.on_its_way()


def banner(change: SubscriptionChange, invoices: Iterable[Invoice], plans: Sequence[Plan]) -> Banner:
    """Return the banner for the customer meanwhile."""
    plan = _plan_name(change, plans)
    waits = "held" in change.params
    then = f"{plan} starts once it is paid" if waits else "If it is not paid, your plan goes back to what it was"
    if not change.params.get("sent"):
        takes = "Bank payments can take several days."
        return Banner("info", f"Your payment is on its way. {takes} {then}. You can change your plan after that.")
    due = next((one for one in invoices if one.stripe_id == change.params.get("invoice")), None)
    page = due.hosted_url if due else None
    return Banner("warning", f"Your invoice for {plan} is open. {then}.", page, "Pay now" if page else None)


def _plan_name(change: SubscriptionChange, plans: Sequence[Plan]) -> str:
    """Return the name of the plan that is being paid for."""
    items: Sequence[Mapping[str, str]] = change.params.get("update", {}).get("items", [])
    asked = {item["price"] for item in items if "price" in item}
    names = (plan.name for plan in plans for price in plan.prices if price.stripe_id(change.mode) in asked)
    return next(names, "Your new plan")
