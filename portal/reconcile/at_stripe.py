"""Stripe's lists against our tables: paid sessions, refunds, disputes, subscriptions and prices."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from sqlalchemy import select

from portal import gateway
from portal.catalogue import archived_prices
from portal.catalogue.archived_prices import PriceSnapshot
from portal.enums import Mode
from portal.extensions import db
from portal.models import Order, OrderState, Payment, RefundRequest, Reversal, StripeCustomer
from portal.reconcile import subscriptions
from portal.reconcile.difference import Difference
from portal.reconcile.rows import named

SKEW = timedelta(hours=1)  # for clock differences: Stripe is asked for a slightly longer period


def differences(mode: Mode, since: datetime) -> Iterator[Difference]:
    """Yield the differences of objects created since then, fetched before our tables are read. Raises
    StripeUnavailable.
    """
    db.session.commit()
    lane = gateway.of(mode)
    plans = {one.id: one for one in lane.every_subscription()}
    sessions = {one.id: one for one in lane.complete_sessions(since - SKEW) if one.is_paid}
    reversals = {one.id: one for one in lane.reversals_since(since - SKEW)}
    active = archived_prices.read_all(mode)
    yield from _sessions(mode, since, sessions)
    yield from _reversals(mode, since, reversals)
    yield from subscriptions.differences(mode, since, plans)
    yield from _prices(active)
    db.session.commit()


def _sessions(mode: Mode, since: datetime, listed: dict[str, gateway.Session]) -> Iterator[Difference]:
    """Check that each paid session has its paid order, and the reverse. Sessions of others are ignored."""
    ours = {one.session_id: one for one in named(Order, mode, "session_id", listed)}
    for session in listed.values():
        order = ours.get(session.id)
        if order is None and session.metadata.get("portal_mode") == mode:
            yield Difference(mode, "session", session.id, "a paid order", "none")
        elif order is not None and order.state != OrderState.PAID:
            yield Difference(mode, "session", session.id, f"{order.number} paid", f"{order.number} {order.state}")
    query = select(Order).where(Order.mode == mode, Order.state == OrderState.PAID, Order.created_at >= since)
    for order in db.session.execute(query.where(Order.session_id.is_not(None))).scalars():
        if order.session_id not in listed:
            yield Difference(mode, "order", order.number, f"{order.session_id} paid", "not paid at Stripe")


def _reversals(mode: Mode, since: datetime, listed: dict[str, gateway.Reversal]) -> Iterator[Difference]:
    """Check that the refunds and disputes of our payments are the same here and at Stripe."""
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


def _ordered_twice(mode: Mode, listed: dict[str, gateway.Reversal]) -> Iterator[Difference]:
    """Check that each refund requested here was made once: a repeated call can have made a second."""
    stamped = {one.id: one.metadata["refund_order"] for one in listed.values() if "refund_order" in one.metadata}
    numbers = {number for number in stamped.values() if number.isdigit()}
    orders = {str(one.id): one for one in named(RefundRequest, mode, "id", map(int, numbers))}
    for stripe_id, number in stamped.items():
        order = orders.get(number)
        if order is not None and order.stripe_id != stripe_id and order.state != OrderState.OPEN:
            expected = f"refund order {number}: {order.stripe_id or order.state}"
            yield Difference(mode, "refund order", stripe_id, expected, f"{listed[stripe_id].amount} refunded")


def _in_words(reversal: gateway.Reversal | Reversal | None) -> str:
    return f"{reversal.amount} {reversal.status}" if reversal else "none"


def _prices(snapshot: PriceSnapshot) -> Iterator[Difference]:
    """Yield each archived price that is offered, and each active one that is not, as read by
    `archived_prices.read_all`.
    """
    mode, active = snapshot
    for row in archived_prices.on_sale():
        stripe_id = row.stripe_id(mode)
        if stripe_id is None or stripe_id not in active:
            continue
        if not active[stripe_id]:
            here = "not offered" if row.is_archived(mode) else "offered"
            found = f"archived there, {here} here"
            yield Difference(mode, "price", f"{row.key} {stripe_id}", "active at Stripe", found)
        elif row.is_archived(mode):
            yield Difference(
                mode, "price", f"{row.key} {stripe_id}", "offered here: active at Stripe", "not offered here"
            )
