"""Starting an order: the order first, then its session at Stripe."""

from dataclasses import dataclass

import structlog
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from portal import gateway, instruments
from portal.catalogue import archived_prices, items, packages
from portal.catalogue.items import Item
from portal.customers import stripe_customers
from portal.errors import Conflict, StripeRefused
from portal.extensions import db
from portal.models import Customer, Order, OrderState
from portal.models.order import new_number
from portal.orders import find, fulfillment, sessions, states
from portal.sync import idempotency

log = structlog.get_logger()


class NonceReused(Conflict):
    """A nonce that was already used for a different choice."""

    code = "idempotency_key_reused"
    title = "That key was used before"


@dataclass(frozen=True)
class Way:
    """The URLs that a checkout returns to on success and cancellation, and the nonce of the form or API call."""

    success_url: str
    cancel_url: str
    nonce: str | None = None


def start(customer: Customer, item: Item, way: Way) -> Order:
    """Create an order with the URL of its checkout page in `session_url`. Commits several times.

    For plans, the same choice returns the same open session, and another choice first expires the old one. Raises
    Conflict if an earlier checkout turns out to be paid. Credits can be ordered several times in parallel, but the
    same nonce returns the same order, paid or open. Raises NonceReused if the nonce belongs to a different choice,
    and Archived.
    """
    try:
        return _start(customer, item, way)
    except StripeRefused:
        if stripe_customers.current(customer) is not None:
            raise
        db.session.commit()
        return _start(customer, item, way)  # the customer was deleted at Stripe, and another is created


def _start(customer: Customer, item: Item, way: Way) -> Order:
    stripe_customer = stripe_customers.at_stripe(customer)
    earlier = _reuse(customer, item, stripe_customer, way) if item.kind == "plan" else _same(customer, item, way)
    order = earlier or _claim(customer, item, stripe_customer, way)
    if order.session_url is None:
        _open_session(order)
    log.info("checkout_started", order=order.number, item=order.item, mode=order.mode)
    return order


def _reuse(customer: Customer, item: Item, stripe_customer: str, way: Way) -> Order | None:
    """Return the open order of the same item from the same page if it can be paid, and end the others."""
    earlier = _open_plan(customer)
    db.session.commit()
    if earlier is None:
        return None
    if earlier.session_id is None:
        _open_session(earlier)  # it may exist at Stripe: the repeated call returns it
    assert earlier.session_id is not None
    params = earlier.params
    asked = (earlier.item, params["line_items"][0]["price"], params["customer"], params["success_url"])
    wanted = (item.key, item.stripe_id, stripe_customer, way.success_url)
    if asked != wanted or params.get("currency") != item.currency:
        _expire(earlier)
    fulfillment.fulfill(earlier.mode, earlier.session_id)
    if earlier.completed_at:
        raise _already_paid(earlier)
    return earlier if earlier.state == OrderState.OPEN else None


def _open_plan(customer: Customer) -> Order | None:
    query = select(Order).filter_by(
        customer_id=customer.id, kind="plan", state=OrderState.OPEN, payment_link=None, off_session=False
    )
    return db.session.execute(query).scalar_one_or_none()


def _same(customer: Customer, item: Item, way: Way) -> Order | None:
    """Return the order that this nonce created. An order that ended unpaid releases its nonce for another try."""
    earlier = find.by_nonce(customer, way.nonce)
    db.session.commit()
    if earlier is None:
        return None
    if earlier.item != item.key or (earlier.currency == item.currency and earlier.amount != item.amount):
        raise NonceReused("It stands for another purchase. Use a new one for each.", money="You were not charged.")
    if earlier.state in (OrderState.FAILED, OrderState.EXPIRED):
        earlier.nonce = None
        db.session.commit()
        return None
    instruments.REPEATED.labels("checkout").inc()
    return earlier


def close(order: Order) -> None:
    """End an open order, so that nobody can pay it. If it was paid, fulfill it. Commits."""
    if order.session_id is None:
        _open_session(order)  # it may exist at Stripe: the repeated call returns it
    assert order.session_id is not None
    _expire(order)
    fulfillment.fulfill(order.mode, order.session_id)


def _expire(order: Order) -> None:
    """Expire the session at Stripe. If it cannot expire, it was paid or has ended; the sync that follows finds
    out.
    """
    assert order.session_id is not None
    try:
        gateway.of(order.mode).expire_session(order.session_id)
    except StripeRefused:
        log.info("session_not_open", order=order.number)


def _already_paid(order: Order) -> Conflict:
    return Conflict(
        f"Your order {order.number} for {order.name} is complete already, so nothing new was started.",
        money="You were not charged a second time.",
        action=("/billing", "See your plan"),
    )


def _claim(customer: Customer, item: Item, stripe_customer: str, way: Way) -> Order:
    """Write the order's row. If two requests are concurrent, the database accepts one and both get that order."""
    number = new_number()
    params = sessions.params(customer, item, number, stripe_customer, (way.success_url, way.cancel_url))
    order = states.begin(customer, item, number, params, nonce=way.nonce)
    try:
        db.session.commit()
    except IntegrityError:
        db.session.rollback()
        winner = _open_plan(customer) if item.kind == "plan" else find.by_nonce(customer, way.nonce)
        if winner is None or (winner.item, winner.amount) != (item.key, item.amount):
            raise Conflict("Another checkout was started at the same moment. Please choose again.") from None
        return winner
    return order


def _open_session(order: Order) -> None:
    """Call and confirm, from the row alone, so that a repeated call has the same parameters.

    A definite refusal ends the order, so that it does not block others. Two concurrent calls get the same
    response.
    """
    try:
        session = idempotency.call(order, lambda key: gateway.of(order.mode).create_session(order.params, key))
    except StripeRefused as error:
        _end(order, error.stripe_code)
        if error.stripe_code == "resource_missing":
            stripe_customers.is_deleted(order.mode, order.params["customer"])
        _refuse_archived(order)
        raise
    confirm = update(Order).where(Order.id == order.id, Order.session_id.is_(None))
    facts = {"session_id": session.id, "session_url": session.url, "session_expires_at": session.expires_at}
    db.session.execute(confirm.values(**facts))
    db.session.commit()
    db.session.refresh(order)
    db.session.commit()
    if not sessions.fits(order, session):
        _refuse_other_price(order, session)


def _refuse_archived(order: Order) -> None:
    """Raise Archived if Stripe refused because a price is archived, of which no webhook has told. Commits."""
    for line in order.params.get("line_items", []):
        if not archived_prices.sync(order.mode, line["price"]):
            refuse = packages.archived if order.kind == "credits" else items.archived
            raise refuse(order.name, order.mode)


def _refuse_other_price(order: Order, session: gateway.Session) -> None:
    """Refuse to redirect to a session whose price differs from the one on the page."""
    log.error(
        "price_differs",
        order=order.number,
        ours=order.amount,
        stripes=session.amount_subtotal,
        item=order.item,
    )
    _expire(order)
    _end(order, "price_differs")
    raise Conflict(
        f"{order.name} cannot be bought just now: its price is being changed. Please try again later.",
        money="You were not charged.",
    )


def _end(order: Order, why: str) -> None:
    states.move(order, OrderState.FAILED, why)
    db.session.commit()
