"""Syncing an order with its payment intent: through its session, or directly if there is none."""

from dataclasses import dataclass

import structlog
from sqlalchemy import or_, select

from portal import gateway
from portal.credits.orders import fulfillment
from portal.customers import stripe_customers
from portal.enums import Mode
from portal.extensions import db
from portal.models import Order, OrderState
from portal.orders import fulfillment as orders_fulfillment
from portal.orders import states
from portal.payments import record
from portal.sync import versions

log = structlog.get_logger()


@dataclass(frozen=True)
class OrderPaymentSnapshot:
    """A payment intent with its sync number, and the Checkout Session that it was paid in."""

    mode: Mode
    number: int
    intent: gateway.PaymentIntent
    session: orders_fulfillment.SessionSnapshot | None = None

    @property
    def ticket(self) -> str:
        """Return the id that its sync numbers belong to."""
        return self.intent.id


def sync(mode: Mode, intent_id: str) -> Order | None:
    """Sync the order of a payment. Can be repeated; commits. Returns None if it isn't ours."""
    snapshot = read(mode, intent_id)
    versions.hold(snapshot)
    order = apply(snapshot)
    db.session.commit()
    return order


def read(mode: Mode, intent_id: str) -> OrderPaymentSnapshot:
    """Take a number, and fetch the payment and its session if there is one."""
    number = versions.take(mode, intent_id)
    intent = gateway.of(mode).payment_intent(intent_id)
    order = find(mode, intent)
    db.session.commit()
    if order is None or order.session_id is None:
        return OrderPaymentSnapshot(mode, number, intent)
    return OrderPaymentSnapshot(mode, number, intent, orders_fulfillment.read(mode, order.session_id))


def apply(snapshot: OrderPaymentSnapshot) -> Order | None:
    """Write the payment's state, including a failure. Flushes. Returns None if no order has this payment.
    Raises Mismatch.
    """
    if snapshot.session is not None:
        order = orders_fulfillment.apply(snapshot.session)
        if order is not None and order.interval is None and versions.use(snapshot):
            record.of_order(order, snapshot.intent)
        return order
    order = find(snapshot.mode, snapshot.intent)
    if order is None or not order.off_session:
        return order
    newest = versions.use(snapshot)
    states.lock(order)
    db.session.refresh(order, with_for_update={"of": Order, "key_share": True})
    if newest:
        _settle(order, snapshot.intent)
    return order


def find(mode: Mode, intent: gateway.PaymentIntent) -> Order | None:
    """Return the order of a payment, found by its id, else by our own metadata."""
    named = intent.metadata.get("purchase")
    query = select(Order).where(Order.mode == mode, or_(Order.payment_intent == intent.id, Order.number == named))
    return db.session.execute(query).scalars().first()


def is_customers(snapshot: OrderPaymentSnapshot) -> bool:
    """Return whether a customer of ours paid, even for something other than credits."""
    return stripe_customers.by_stripe_id(snapshot.mode, snapshot.intent.customer) is not None


def _settle(order: Order, intent: gateway.PaymentIntent) -> None:
    """Update an off-session order. It has no session, so its state follows from the payment alone."""
    _compare(order, intent)
    order.payment_intent = intent.id
    if intent.status == "succeeded":
        states.move(order, OrderState.PAID)
        order.completed_at = order.paid_at
        fulfillment.give(order, fulfillment.Bought(intent))
    else:
        if intent.has_failed and not order.state.is_final:
            states.move(order, OrderState.FAILED, intent.failure)
        record.of_order(order, intent)
    db.session.flush()


def _compare(order: Order, intent: gateway.PaymentIntent) -> None:
    payer = stripe_customers.by_stripe_id(order.mode, intent.customer)
    checks = {
        "payment": order.payment_intent in (None, intent.id),
        "customer": payer is not None and payer.id == order.customer_id,
        "amount": intent.amount == order.amount,
        "currency": intent.currency == order.currency,
    }
    orders_fulfillment.require(order, intent.id, checks)
