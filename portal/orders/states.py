"""The states of an order, and how it changes them."""

from typing import Any

import structlog
from sqlalchemy import select

from portal import audit, clock
from portal.catalogue.items import Item
from portal.extensions import db, once_committed
from portal.models import Customer, Order, OrderState
from portal.orders.documents import claims
from portal.sync import locks

log = structlog.get_logger()


def begin(customer: Customer, item: Item, number: str, params: dict[str, Any], **facts: Any) -> Order:
    """Add the row of an order of this item, without flushing. `params` are the parameters for Stripe."""
    order = Order(
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
    db.session.add(order)
    return order


def lock(order: Order) -> None:
    """Lock the customer that the order belongs to now, before the order itself. Flushes."""
    owner = select(Order.customer_id).filter_by(id=order.id)
    locks.lock_owner(lambda: db.session.execute(owner).scalar_one())


def move(order: Order, state: OrderState, why: str | None = None) -> None:
    """Change an order's state. The time of the first payment is kept. `why` is Stripe's code for the reason.
    Flushes.
    """
    before = order.state
    order.state = state
    if state == OrderState.PAID and order.paid_at is None:
        order.paid_at = clock.now()
        claims.write(order)
        once_committed(log.info, "purchase_paid", order=order.number, item=order.item, mode=order.mode)
    if state != before:
        audit.record(
            f"purchase.{state}",
            customer_id=order.customer_id,
            subject=order.number,
            before={"state": before},
            after={"state": state} | ({"reason": why} if why else {}),
            key=f"purchase:{order.number}:{state}",
        )
