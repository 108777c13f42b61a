"""Finding the order that a success page was opened with, and bringing it up to date."""

import structlog
from sqlalchemy import select

from portal import gateway
from portal.errors import StripeRefused, StripeUnavailable
from portal.extensions import db
from portal.models import Purchase
from portal.purchases import fulfilment
from portal.purchases.fulfilment import Mismatch

log = structlog.get_logger()


def by_session(session_id: str) -> Purchase | None:
    """The order of a Checkout Session: ours by its id, else by what is written on it at Stripe.

    Stripe knows of sessions whose id we never got to store (a crash after the call), and of those that a
    Payment Link began. Commits.
    """
    found = db.session.execute(select(Purchase).filter_by(session_id=session_id)).scalars().first()
    if found is not None or not session_id.startswith("cs_"):
        return found
    return next(filter(None, (_from_stripe(mode, session_id) for mode in gateway.MODES)), None)


def _from_stripe(mode: str, session_id: str) -> Purchase | None:
    lane = gateway.of(mode)
    if not lane.is_configured or lane.livemode != session_id.startswith("cs_live_"):
        return None
    db.session.commit()
    try:
        return fulfilment.fulfil(mode, session_id)
    except (StripeRefused, Mismatch):
        db.session.rollback()
        return None


def by_number(number: str) -> Purchase | None:
    """The order of this number."""
    return db.session.execute(select(Purchase).filter_by(number=number)).scalar_one_or_none()


def bring_up_to_date(purchase: Purchase) -> Purchase:
    """Ask Stripe, unless it is paid already; whoever comes first, page or webhook, does the same. Commits.

    Stripe not answering changes nothing: webhook or next look will tell.
    """
    if purchase.paid_at or purchase.session_id is None:
        return purchase
    db.session.commit()
    try:
        fulfilment.fulfil(purchase.mode, purchase.session_id)
    except (StripeUnavailable, StripeRefused, Mismatch) as reason:
        db.session.rollback()
        log.warning("order_not_brought_up_to_date", order=purchase.number, reason=type(reason).__name__)
    db.session.refresh(purchase)
    return purchase


def unpaid(purchase: Purchase) -> str:
    """Where an order stands that is not paid: unpaid, pending, declined or expired, as success pages say it."""
    if purchase.state == "open" and purchase.completed_at is None:
        return "unpaid"
    return {"failed": "declined", "expired": "expired"}.get(purchase.state, "pending")
