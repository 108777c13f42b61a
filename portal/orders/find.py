"""Finding the order of a success page, and bringing it up to date."""

import re

import structlog
from flask import Response, render_template
from sqlalchemy import select

from portal import gateway
from portal.enums import Mode
from portal.errors import StripeRefused, StripeUnavailable
from portal.extensions import db
from portal.models import Customer, Order, OrderState
from portal.orders import fulfillment, unplaced_payments
from portal.orders.fulfillment import Mismatch
from portal.web.pages import private

log = structlog.get_logger()

SHAPE = re.compile(r"cs_(live|test)_[A-Za-z0-9]{1,200}")


def by_session(session_id: str) -> Order | None:
    """Return the order of a Checkout Session, found by its id, else by its metadata at Stripe.

    Stripe has sessions whose id was never stored (a crash after the call), and those that a Payment Link created.
    Commits. For a string that cannot be a session id, Stripe is not called.
    """
    shaped = SHAPE.fullmatch(session_id)
    if shaped is None:
        return None
    found = db.session.execute(select(Order).filter_by(session_id=session_id)).scalars().first()
    db.session.commit()
    if found is not None:
        return found
    lanes = [lane for lane in map(gateway.of, Mode) if lane.livemode == (shaped[1] == "live")]
    return next(filter(None, (_from_stripe(lane, session_id) for lane in lanes if lane.is_configured)), None)


def _from_stripe(lane: gateway.Lane, session_id: str) -> Order | None:
    """Fulfill a session that is ours according to Stripe. For others nothing is written."""
    try:
        session = lane.session(session_id)
        ours = session.payment_link or session.metadata.get("purchase")
        return fulfillment.fulfill(lane.mode, session_id) if ours else None
    except (StripeRefused, Mismatch):
        db.session.rollback()
        return None


def unplaced_payment(session_id: str) -> unplaced_payments.Unplaced | None:
    """Return the paid session that a browser came with, if no order has it. It is recorded and reported.
    Commits.
    """
    shaped = SHAPE.fullmatch(session_id)
    if shaped is None:
        return None
    known = db.session.execute(select(Order.id).filter_by(session_id=session_id)).first()
    db.session.commit()
    if known:
        return None
    for lane in map(gateway.of, Mode):
        if not lane.is_configured or lane.livemode != (shaped[1] == "live"):
            continue
        try:
            session = lane.session(session_id)
            is_ordered = fulfillment.find(lane.mode, session) is not None
            db.session.commit()
            lines = () if is_ordered else lane.session_lines(session_id)
            found = None if is_ordered else unplaced_payments.read(lane.mode, session, lines, landed=True)
        except StripeRefused:  # not in this lane's account
            continue
        if found:
            unplaced_payments.note(found)
            db.session.commit()
            return found
    return None


def unplaced_page(session_id: str) -> Response | None:
    """Return the page that says that someone will look into such a payment; None if there is none. Commits.

    Anyone with the session's id may see it, because it names no account. The admins and the buyer are emailed
    once.
    """
    found = unplaced_payment(session_id)
    if found is None:
        return None
    cost = {"amount": found.session.amount_total or 0, "currency": found.session.currency or "usd"}
    return private(Response(render_template("billing/unplaced.html", **cost)))


def by_nonce(customer: Customer, nonce: str | None) -> Order | None:
    """Return the customer's order that this form or API call created earlier; None without a nonce."""
    if nonce is None:
        return None
    query = select(Order).filter_by(customer_id=customer.id, nonce=nonce)
    return db.session.execute(query).scalar_one_or_none()


def by_number(number: str) -> Order | None:
    """Return the order with this number."""
    return db.session.execute(select(Order).filter_by(number=number)).scalar_one_or_none()


def bring_up_to_date(order: Order) -> bool:
    """Sync the order with Stripe unless it is paid already. The page and the webhook do the same, in any order.
    Commits.

    Returns False if Stripe did not answer: the row may be outdated until the webhook or the next request.
    """
    if order.paid_at or order.session_id is None:
        return True
    db.session.commit()
    answered = True
    try:
        fulfillment.fulfill(order.mode, order.session_id)
    except (StripeUnavailable, StripeRefused, Mismatch) as reason:
        db.session.rollback()
        log.warning("order_not_brought_up_to_date", order=order.number, reason=type(reason).__name__)
        answered = False
    db.session.refresh(order)
    return answered


def unpaid(order: Order, *, is_current: bool = True) -> str:
    """Return the state of an unpaid order as success pages show it: review, reviewed, unpaid, pending, declined,
    expired.

    If the row may be outdated, an unpaid order may be paid already, so it is pending.
    """
    if order.differs:
        return "reviewed" if order.difference_closed_at else "review"
    if order.state == OrderState.OPEN and order.completed_at is None and is_current:
        return "unpaid"
    return {OrderState.FAILED: "declined", OrderState.EXPIRED: "expired"}.get(order.state, "pending")
