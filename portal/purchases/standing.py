"""Where an order stands, and how it comes there."""

import structlog

from portal import audit, clock
from portal.models import Purchase

log = structlog.get_logger()


def move(purchase: Purchase, state: str) -> None:
    """Bring an order to another state; when it was first paid stays. Flushes."""
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
            after={"state": state},
            key=f"purchase:{purchase.number}:{state}",
        )
