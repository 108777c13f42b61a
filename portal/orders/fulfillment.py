"""Fulfilling an order: the one path for webhooks, success pages, replays and the command line."""

from dataclasses import dataclass, replace
from typing import Any

import structlog
from sqlalchemy import or_, select

from portal import clock, gateway, money
from portal.customers import stripe_customers
from portal.enums import Mode
from portal.errors import Conflict
from portal.extensions import db
from portal.models import Order, OrderState
from portal.orders import differences, payment_links, rebuilt, sessions, states, unplaced_payments
from portal.orders.kinds import gives
from portal.sync import versions

log = structlog.get_logger()


@dataclass(frozen=True)
class SessionSnapshot:
    """A session as Stripe has it, with its sync number, and what it bought once it is complete.

    `line` is what the order is about. It is fetched for a Payment Link's session that has no order yet, and for
    one in another currency than its order.
    """

    mode: Mode
    number: int
    session: gateway.Session
    bought: Any = None
    line: gateway.SessionLine | None = None
    trial_days: int = 0  # of a Payment Link
    kind: str = ""  # of the purchased item; empty before completion
    stray: unplaced_payments.Unplaced | None = None  # set if it is paid, refers to this portal, and has no order

    @property
    def ticket(self) -> str:
        """Return the id that its sync numbers belong to."""
        return self.session.id


class Mismatch(Conflict):
    """The session and our order disagree about who pays what. Nothing is granted, and an admin has to look into
    it.
    """

    def __init__(self, order: Order, wrong: list[str], paid: str) -> None:
        self.mode, self.number = order.mode, order.number
        self.differs = ", ".join(wrong) + (f"; paid: {paid}" if paid else "")
        super().__init__(f"Order {order.number} and its payment differ in {', '.join(wrong)}. Please write to us.")

    def note(self) -> None:
        """Write it on the order, once what raised it is rolled back. Flushes."""
        differences.note(self.mode, self.number, self.differs)


def fulfill(mode: Mode, session_id: str) -> Order | None:
    """Bring an order to the state of its session. Can be repeated, from anywhere; commits.

    Returns None for a session that isn't ours. Raises Mismatch if it must not be fulfilled.
    """
    snapshot = act(read(mode, session_id))
    versions.hold(snapshot)
    try:
        order = apply(snapshot)
    except Mismatch as reason:
        db.session.rollback()
        reason.note()
        db.session.commit()
        raise
    db.session.commit()
    return order


def read(mode: Mode, session_id: str) -> SessionSnapshot:
    """Take a number, and fetch the session and what it bought. Commits before each call."""
    number = versions.take(mode, session_id)
    session = gateway.of(mode).session(session_id)
    order = find(mode, session)
    db.session.commit()
    stamp = session.metadata.get("portal_mode")
    if session.status != "complete" or stamp not in (None, mode):  # two lanes may share one test account
        return SessionSnapshot(mode, number, session)
    order = order or rebuilt.write(mode, session)
    kind, line, lines, stray = order.kind if order else "", None, None, None
    if order is not None and session.currency not in (None, order.currency):
        line = next(iter(gateway.of(mode).session_lines(session.id)), None)
    if order is None and session.payment_link:
        lines = gateway.of(mode).session_lines(session.id)
        line = payment_links.plan_of(session, lines, mode)
        kind = "plan" if line else ""
        db.session.commit()
    if not kind and session.is_paid:
        stray = unplaced_payments.read(mode, session, lines or gateway.of(mode).session_lines(session.id))
    bought = gives[kind].read(mode, session) if kind else None
    trial_days = payment_links.trial_days(session, line, mode) if line and order is None else 0
    return SessionSnapshot(mode, number, session, bought, line, trial_days, kind, stray)


def act(snapshot: SessionSnapshot) -> SessionSnapshot:
    """Make the calls to Stripe that the order needs, if any, with no transaction open. Commits its claims."""
    act_on = gives[snapshot.kind].act if snapshot.kind else None
    if act_on is None or snapshot.bought is None:
        return snapshot
    return replace(snapshot, bought=act_on(snapshot.bought))


def find(mode: Mode, session: gateway.Session) -> Order | None:
    """Return the order of a session, found by its id, else (after a crash before it was stored) by our own
    metadata.
    """
    named = session.metadata.get("purchase")
    query = select(Order).where(Order.mode == mode, or_(Order.session_id == session.id, Order.number == named))
    return db.session.execute(query).scalars().first()


def apply(snapshot: SessionSnapshot) -> Order | None:
    """Write the session's state, once. Flushes."""
    session = snapshot.session
    # The ticket's row is locked first, so that of two deliveries of one link's session only one writes its order.
    newest = versions.use(snapshot)
    order = find(snapshot.mode, session) or (_arrived(snapshot) if newest else None)
    if order is None:
        return None
    states.lock(order)
    # Read the order again even if nothing is written: a webhook may have changed it during the fetch.
    db.session.refresh(order, with_for_update={"of": Order, "key_share": True})
    if not newest:
        return order
    if session.status == "complete":
        _compare(order, session, snapshot.line)
    elif order.session_id not in (None, session.id):  # nobody paid it, and another one is the order's
        return order
    order.session_id = session.id
    order.payment_intent = session.payment_intent
    order.subscription_id = session.subscription or order.subscription_id
    if session.status == "complete":
        order.completed_at = order.completed_at or clock.now()
    _move(order, session)
    if order.paid_at and snapshot.bought is not None:
        gives[order.kind].write(order, snapshot.bought)
    db.session.flush()
    return order


def _arrived(snapshot: SessionSnapshot) -> Order | None:
    """Write the order of a Payment Link's session when it arrives; return None if it isn't ours."""
    line = snapshot.line
    if line is None or payment_links.plan_of(snapshot.session, [line], snapshot.mode) is None:
        return None
    return payment_links.arrive(snapshot.mode, snapshot.session, line, snapshot.trial_days)


def _compare(order: Order, session: gateway.Session, line: gateway.SessionLine | None) -> None:
    """Check that mode, customer, amount and currency are those of the order.

    Stripe lets a price with several currencies be paid in another one than was ordered. Then the order takes it.
    """
    payer = stripe_customers.by_stripe_id(order.mode, session.customer)
    checks = {
        "session": order.session_id in (None, session.id),
        "customer": payer.id == order.customer_id if payer else order.payment_link is not None,
        "amount": sessions.fits(order, session, line),
    }
    require(order, session.id, checks, money.text(session.amount_total or 0, session.currency or order.currency))
    order.differs = None
    if session.currency and session.currency != order.currency and line:
        order.amount, order.currency = line.cost, session.currency


def require(order: Order, paid_by: str, checks: dict[str, bool], paid: str = "") -> None:
    """Raise Mismatch if a session or payment does not match the order. `checks` names each comparison, `paid` is
    the amount as text.
    """
    wrong = [name for name, fits in checks.items() if not fits]
    if wrong:
        log.error("order_mismatch", order=order.number, paid_by=paid_by, differs=wrong)
        raise Mismatch(order, wrong, paid)


def _move(order: Order, session: gateway.Session) -> None:
    if session.is_paid:
        states.move(order, OrderState.PAID)
    elif order.state == OrderState.OPEN and session.status == "expired":
        states.move(order, OrderState.EXPIRED)
    elif order.state == OrderState.OPEN and session.payment_failed:
        states.move(order, OrderState.FAILED)
