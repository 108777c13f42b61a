"""Prices that give no tier: those that a plan was swapped to, and allowed ones that are sold without a plan."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import RowMapping, select

from portal import audit, gateway, mail
from portal.billing.status import labels
from portal.catalogue import items
from portal.enums import Mode
from portal.extensions import db
from portal.models import Customer, Subscription, SubscriptionStatus
from portal.settings import current_settings

log = structlog.get_logger()

SHOWN = 50
Facts = Mapping[str, Any] | RowMapping


@dataclass(frozen=True)
class Kept:
    """A subscription whose price gives no tier, as the overview shows it. It keeps the plan that it had."""

    row: Subscription
    plan_name: str
    user_id: int
    email: str


def tell(mode: Mode, customer_id: int, facts: gateway.Subscription, before: Facts, after: Facts) -> None:
    """Tell the admins of a plan that was swapped to a price without a tier, and log an allowed price without one.
    Once for each swap and each allowed price. Flushes.
    """
    price_id = after["price_id"]
    if after["tier_kept"]:
        is_new = not before["tier_kept"] or before["price_id"] != price_id
        if is_new and not SubscriptionStatus(facts.status).is_final:
            _tell_admins(customer_id, facts, after)
    elif after["tier"] is None and price_id in (current_settings().allowed_price_ids or ()):
        key = f"price_without_tier:{mode}:{price_id}"
        if audit.record("price.without_tier", customer_id=customer_id, subject=price_id, key=key):
            fix = f"add {price_id}:TIER to STRIPE_PRICE_MAP, or set metadata.tier of the price at Stripe"
            log.warning("price_without_tier", price=price_id, mode=mode, subscription=facts.id, fix=fix)


def _tell_admins(customer_id: int, facts: gateway.Subscription, after: Facts) -> None:
    # A swap that is really made twice has another invoice; a sync that steps back for a moment has not.
    key = f"price_unknown:{facts.id}:{after['price_id']}:{facts.latest_invoice}"
    about = {"price": after["price_id"], "kept": after["tier"]}
    if not audit.record(
        "subscription.price_unknown", customer_id=customer_id, subject=facts.id, after=about, key=key
    ):
        return
    log.error("price_unknown", subscription=facts.id, **about)
    customer = db.session.get_one(Customer, customer_id)
    mail.tell_admins(
        "price_unknown",
        key,
        customer.mode,
        page=mail.external("admin_customers.show", user_id=customer.user_id),
        email=customer.user.email,
        plan_name=labels.plan_name(after["tier"], items.plan_of(after["tier"])),
        price=after["price_id"],
        tier=after["tier"],
        amount=after["amount"],
        currency=after["currency"],
        interval=after["interval"],
        interval_count=after["interval_count"],
    )


def kept() -> list[Kept]:
    """List the subscriptions that keep their plan although their price gives none, newest first, 50 at most."""
    query = (
        select(Subscription, Customer)
        .join(Customer, Customer.id == Subscription.customer_id)
        .where(Subscription.tier_kept, Subscription.status.not_in(SubscriptionStatus.final()))
        .order_by(Subscription.id.desc())
        .limit(SHOWN)
    )
    return [
        Kept(row, labels.plan_name(row.tier, items.plan_of(row.tier)), customer.user_id, customer.user.email)
        for row, customer in db.session.execute(query)
    ]
