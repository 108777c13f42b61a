"""An order from its first row on: where it stands, and how it comes there."""

from typing import Any

import structlog

from portal import audit, clock
from portal.extensions import db
from portal.models import Customer, Purchase
from portal.purchases.items import Item

log = structlog.get_logger()


def begin(customer: Customer, item: Item, number: str, params: dict[str, Any], **facts: Any) -> Purchase:
    """The row of an order of this item, added and not flushed; `params` is what Stripe is asked with."""
    purchase = Purchase(
        number=number,
        customer_id=customer.id,
        mode=customer.mode,
        kind=item.kind,
        item=item.key,
        name=item.name,
        tier=item.tier,
        amount=item.amount,
        currency=item.currency,
        interval=item.interval,
        interval_count=item.interval_count,
        credits=item.credits,
        params=params,
        created_at=clock.now(),
        **facts,
    )
    db.session.add(purchase)
    return purchase


def move(purchase: Purchase, state: str, why: str | None = None) -> None:
    """Bring an order to another state; when it was first paid stays. `why` is Stripe's code for it. Flushes."""
    before = purchase.state
    purchase.state = state
    if state == "paid" and purchase.paid_at is None:
        purchase.paid_at = clock.now()
        log.info("purchase_paid", order=purchase.number, item=purchase.item, mode=purchase.mode)
    if state != before:
        audit.record(
            f"purchase.{state}",
            customer_id=purchase.customer_id,
            subject=purchase.number,
            before={"state": before},
            after={"state": state} | ({"reason": why} if why else {}),
            key=f"purchase:{purchase.number}:{state}",
        )
