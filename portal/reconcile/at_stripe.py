"""What Stripe lists against our books: paid sessions, refunds, disputes and subscriptions, and nothing besides."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from sqlalchemy import select

from portal import gateway
from portal.extensions import db
from portal.models import Payment, Purchase, RefundOrder, Reversal, StripeCustomer
from portal.reconcile import subscriptions
from portal.reconcile.difference import Difference
from portal.reconcile.rows import named

SKEW = timedelta(hours=1)  # no two clocks agree: at the beginning of the period Stripe is asked for more


def differences(mode: str, since: datetime) -> Iterator[Difference]:
    """What was made at Stripe since then, fetched before our tables are read. Raises StripeUnavailable."""
    db.session.commit()
    lane = gateway.of(mode)
    plans = {one.id: one for one in lane.every_subscription()}
    sessions = {one.id: one for one in lane.complete_sessions(since - SKEW) if one.is_paid}
    reversals = {one.id: one for one in lane.reversals_since(since - SKEW)}
    yield from _sessions(mode, since, sessions)
    yield from _reversals(mode, since, reversals)
    yield from subscriptions.differences(mode, since, plans)
    db.session.commit()


def _sessions(mode: str, since: datetime, listed: dict[str, gateway.Session]) -> Iterator[Difference]:
    """Each paid session has its paid order, each paid order its session. Others' sessions are their own matter."""
    ours = {one.session_id: one for one in named(Purchase, mode, "session_id", listed)}
    for session in listed.values():
        order = ours.get(session.id)
        if order is None and session.metadata.get("portal_mode") == mode:
            yield Difference(mode, "session", session.id, "a paid order", "none")
        elif order is not None and order.state != "paid":
            yield Difference(mode, "session", session.id, f"{order.number} paid", f"{order.number} {order.state}")
    query = select(Purchase).where(Purchase.mode == mode, Purchase.state == "paid", Purchase.created_at >= since)
    for order in db.session.execute(query.where(Purchase.session_id.is_not(None))).scalars():
        if order.session_id not in listed:
            yield Difference(mode, "order", order.number, f"{order.session_id} paid", "not paid at Stripe")


def _reversals(mode: str, since: datetime, listed: dict[str, gateway.Reversal]) -> Iterator[Difference]:
    """Each refund and dispute of a payment of ours stands here as Stripe has it, and no other does."""
    ours = {one.stripe_id: one for one in named(Reversal, mode, "stripe_id", listed)}
    charges = {one.of.id: one.of for one in listed.values() if one.of}
    paid = {charge.paid_by for charge in charges.values()}
    known = {one.stripe_id for one in named(Payment, mode, "stripe_id", paid)}
    customers = {charge.customer for charge in charges.values() if charge.customer}
    payers = {one.stripe_id for one in named(StripeCustomer, mode, "stripe_id", customers)}
    for reversal in listed.values():
        charge = reversal.of
        if charge is None or not (
            charge.paid_by in known or charge.customer in payers or charge.metadata.get("portal_mode") == mode
        ):
            continue
        expected, found = _in_words(reversal), _in_words(ours.get(reversal.id))
        if expected != found:
            yield Difference(mode, reversal.kind, reversal.id, expected, found)
    query = select(Reversal).where(Reversal.mode == mode, Reversal.created_at >= since)
    for row in db.session.execute(query).scalars():
        if row.stripe_id not in listed:
            yield Difference(mode, row.kind, row.stripe_id, "not at Stripe", _in_words(row))
    yield from _ordered_twice(mode, listed)


def _ordered_twice(mode: str, listed: dict[str, gateway.Reversal]) -> Iterator[Difference]:
    """Each refund that was ordered here was made once: a repeated call can have made a second."""
    stamped = {one.id: one.metadata["refund_order"] for one in listed.values() if "refund_order" in one.metadata}
    numbers = {number for number in stamped.values() if number.isdigit()}
    orders = {str(one.id): one for one in named(RefundOrder, mode, "id", map(int, numbers))}
    for stripe_id, number in stamped.items():
        order = orders.get(number)
        if order is not None and order.stripe_id != stripe_id and order.state != "open":
            expected = f"refund order {number}: {order.stripe_id or order.state}"
            yield Difference(mode, "refund order", stripe_id, expected, f"{listed[stripe_id].amount} refunded")


def _in_words(reversal: gateway.Reversal | Reversal | None) -> str:
    return f"{reversal.amount} {reversal.status}" if reversal else "none"
