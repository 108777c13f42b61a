"""Reporting a second plan, bought while another is active for the same email address."""

from datetime import timedelta
from functools import cache
from typing import Any

import structlog
from sqlalchemy import ColumnElement, Select, and_, bindparam, select, text, update
from sqlalchemy.orm import aliased

from portal import clock, mail
from portal.billing.status import labels
from portal.billing.upcoming import prices
from portal.catalogue import items
from portal.extensions import db
from portal.models import Customer, Order, Subscription, SubscriptionStatus, User

log = structlog.get_logger()

NEWS_FOR = timedelta(days=1)  # a later sync of the order does not report it again
AT_ONCE = 200  # orders that the scheduled task looks at
MOST = 20  # other plans that are reported of one order


def report(order: Order) -> None:
    """Email the buyer and the admins both prices if another plan is active for the buyer's address. Flushes.

    Checkout refuses a second plan to a signed-in customer. A Payment Link does not check, and an address may have
    several customers until its owner decides. Each pair of plans is reported once.
    """
    order.second_plan_due = True
    _report(order.id)


def run() -> int:
    """Scheduled task: report plans that were bought at the same moment; returns how many. Commits.

    Two transactions that each write a plan for one address do not see each other's. Each leaves its mark, and the
    later one's is looked at once both have committed.
    """
    due = select(Order.id).where(text("second_plan_due")).order_by(Order.id).limit(AT_ONCE)  # as the index says it
    found = db.session.execute(due).scalars().all()
    if found:
        db.session.execute(update(Order).where(Order.id.in_(found)).values(second_plan_due=False))
    told = sum(_report(order_id) for order_id in reversed(found))  # the newest as the second plan
    db.session.commit()
    return told


def _report(order_id: int) -> int:
    found = db.session.execute(_pairs(), {"order_id": order_id, "since": clock.now() - NEWS_FOR}).all()
    get = db.session.get_one
    return sum(
        _tell(get(Customer, buyer), get(Subscription, new), get(Subscription, old)) for buyer, new, old in found
    )


@cache  # building it takes longer than the database does
def _pairs() -> Select[int, int, int]:
    """Select the ids of an order's customer, of its subscription, and of each other one of the same address that
    will be charged, oldest first.
    """
    bought, other = Subscription, aliased(Subscription)
    buyer, customer = aliased(User), aliased(Customer)
    theirs = (User.email == buyer.email, User.deleted_at.is_(None), User.disowned_at.is_(None))
    return (
        select(Order.customer_id, bought.id, other.id)
        .select_from(Order)
        .join(bought, and_(bought.mode == Order.mode, bought.stripe_id == Order.subscription_id))
        .join(customer, customer.id == Order.customer_id)
        .join(buyer, buyer.id == customer.user_id)
        .join(User, and_(*theirs))
        .join(Customer, and_(Customer.user_id == User.id, Customer.mode == Order.mode))
        .join(other, and_(other.customer_id == Customer.id, other.id != bought.id, other.tier.is_not(None)))
        .where(Order.id == bindparam("order_id"), Order.created_at >= bindparam("since"))
        .where(_is_charged(bought), _is_charged(other))
        .order_by(other.started_at, other.id)
        .limit(MOST)
    )


def _is_charged(plan: type[Subscription]) -> ColumnElement[bool]:
    return and_(plan.status.in_(SubscriptionStatus.granting()), plan.amount > 0, plan.cancel_at.is_(None))


def _tell(buyer: Customer, bought: Subscription, other: Subscription) -> bool:
    key = ":".join(["second_plan", *sorted([bought.stripe_id, other.stripe_id])])
    if not mail.unsaid([key]):
        return False
    facts = {"new": _facts(bought), "old": _facts(other)}
    is_joined = bought.customer_id == other.customer_id and buyer.user.is_claimed
    mail.tell(buyer, "second_plan", key, page=mail.external("billing.overview"), is_joined=is_joined, **facts)
    page = mail.external("admin_customers.show", user_id=buyer.user_id)
    mail.tell_admins("second_plan_admin", key, buyer.mode, page=page, email=buyer.user.email, **facts)
    log.warning("second_plan", subscription=bought.stripe_id, other=other.stripe_id, customer=buyer.id)
    return True


def _facts(subscription: Subscription) -> dict[str, Any]:
    return {
        "plan_name": labels.plan_name(subscription.tier, items.plan_of(subscription.tier)),
        "price": prices.all_of(subscription),
    }
