"""Finding the order that a success page was opened with, and bringing it up to date."""

import re

import structlog
from sqlalchemy import select

from portal import gateway
from portal.errors import StripeRefused, StripeUnavailable
from portal.extensions import db
from portal.models import Purchase
from portal.purchases import fulfilment, unplaced
from portal.purchases.fulfilment import Mismatch

log = structlog.get_logger()

SESSION_ID = re.compile(r"cs_(live|test)_[A-Za-z0-9]{1,200}")


def by_session(session_id: str) -> Purchase | None:
    """The order of a Checkout Session: ours by its id, else by what is written on it at Stripe.

    Stripe knows of sessions whose id we never got to store (a crash after the call), and of those that a
    Payment Link began. Commits. For anything that is no session's id, nobody is asked.
    """
    shaped = SESSION_ID.fullmatch(session_id)
    if shaped is None:
        return None
    found = db.session.execute(select(Purchase).filter_by(session_id=session_id)).scalars().first()
    db.session.commit()
    if found is not None:
        return found
    lanes = [lane for lane in map(gateway.of, gateway.MODES) if lane.livemode == (shaped[1] == "live")]
    return next(filter(None, (_from_stripe(lane, session_id) for lane in lanes if lane.is_configured)), None)


def _from_stripe(lane: gateway.Lane, session_id: str) -> Purchase | None:
    """Fulfil a session that Stripe says is ours; for a stranger's nothing is written."""
    try:
        session = lane.session(session_id)
        ours = session.payment_link or session.metadata.get("purchase")
        return fulfilment.fulfil(lane.mode, session_id) if ours else None
    except (StripeRefused, Mismatch):
        db.session.rollback()
        return None


def unplaced_payment(session_id: str) -> unplaced.Unplaced | None:
    """The paid session that a browser came with, if no order is behind it: noted, and told of. Commits."""
    shaped = SESSION_ID.fullmatch(session_id)
    if shaped is None:
        return None
    known = db.session.execute(select(Purchase.id).filter_by(session_id=session_id)).first()
    db.session.commit()
    if known:
        return None
    for lane in map(gateway.of, gateway.MODES):
        if not lane.is_configured or lane.livemode != (shaped[1] == "live"):
            continue
        try:
            session = lane.session(session_id)
            is_ordered = fulfilment.find(lane.mode, session) is not None
            db.session.commit()
            price = None if is_ordered else lane.session_price(session_id)
            found = None if is_ordered else unplaced.read(lane.mode, session, price, landed=True)
        except StripeRefused:  # it is none of this lane's account
            continue
        if found:
            unplaced.note(found)
            db.session.commit()
            return found
    return None


def by_number(number: str) -> Purchase | None:
    """The order of this number."""
    return db.session.execute(select(Purchase).filter_by(number=number)).scalar_one_or_none()


def bring_up_to_date(purchase: Purchase) -> bool:
    """Ask Stripe, unless it is paid already; whoever comes first, page or webhook, does the same. Commits.

    False where Stripe did not answer: what the row says may be behind, and the webhook or next look will tell.
    """
    if purchase.paid_at or purchase.session_id is None:
        return True
    db.session.commit()
    answered = True
    try:
        fulfilment.fulfil(purchase.mode, purchase.session_id)
    except (StripeUnavailable, StripeRefused, Mismatch) as reason:
        db.session.rollback()
        log.warning("order_not_brought_up_to_date", order=purchase.number, reason=type(reason).__name__)
        answered = False
    db.session.refresh(purchase)
    return answered


def unpaid(purchase: Purchase, *, is_current: bool = True) -> str:
    """Where an order stands that is not paid: unpaid, pending, declined or expired, as success pages say it.

    Where the row is not known to be current, what looks unpaid may be paid: it is pending.
    """
    if purchase.state == "open" and purchase.completed_at is None and is_current:
        return "unpaid"
    return {"failed": "declined", "expired": "expired"}.get(purchase.state, "pending")
