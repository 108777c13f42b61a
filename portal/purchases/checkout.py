"""Starting a purchase: the order first, then Stripe's session for it."""

from dataclasses import dataclass

import structlog
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from portal import gateway
from portal.errors import Conflict, StripeRefused
from portal.extensions import db
from portal.models import Customer, Purchase
from portal.models.purchase import new_number
from portal.purchases import claims, customers, fulfilment, sessions, standing
from portal.purchases.items import Item

log = structlog.get_logger()


class NonceReused(Conflict):
    """A nonce that came before, with another choice."""

    code = "idempotency_key_reused"
    title = "That key was used before"


@dataclass(frozen=True)
class Way:
    """Where a checkout leads, done or left, and the nonce of the form or call that it came by."""

    success_url: str
    cancel_url: str
    nonce: str | None = None


def start(customer: Customer, item: Item, way: Way) -> Purchase:
    """A purchase with the address of its checkout page in `session_url`. Commits as it goes.

    Of plans the same choice again gives the same open session; another choice first ends the old one. Raises
    Conflict where an earlier checkout turns out to be paid already. Credits may be bought many times at once, but
    the same nonce gives the same purchase, paid or open. Raises NonceReused where that is for something else.
    """
    stripe_customer = customers.at_stripe(customer)
    earlier = _reuse(customer, item, stripe_customer, way) if item.kind == "plan" else _same(customer, item, way)
    purchase = earlier or _claim(customer, item, stripe_customer, way)
    if purchase.session_url is None:
        _open_session(purchase)
    log.info("checkout_started", order=purchase.number, item=purchase.item, mode=purchase.mode)
    return purchase


def _reuse(customer: Customer, item: Item, stripe_customer: str, way: Way) -> Purchase | None:
    """The open purchase of this very item by this very door, if its session is still open; others are ended."""
    earlier = _open_plan(customer)
    db.session.commit()
    if earlier is None:
        return None
    if earlier.session_id is None:
        _open_session(earlier)  # it may exist at Stripe: the repeated call answers with it
    assert earlier.session_id is not None
    params = earlier.params
    asked = (earlier.item, params["line_items"][0]["price"], params["customer"], params["success_url"])
    if asked != (item.key, item.stripe_id, stripe_customer, way.success_url):
        _expire(earlier)
    fulfilment.fulfil(earlier.mode, earlier.session_id)
    if earlier.completed_at:
        raise _already_paid(earlier)
    return earlier if earlier.state == "open" else None


def _open_plan(customer: Customer) -> Purchase | None:
    query = select(Purchase).filter_by(
        customer_id=customer.id, kind="plan", state="open", payment_link=None, off_session=False
    )
    return db.session.execute(query).scalar_one_or_none()


def _same(customer: Customer, item: Item, way: Way) -> Purchase | None:
    """The purchase that this nonce began. One that ended unpaid gives its nonce up, for another try."""
    earlier = _by_nonce(customer, way.nonce)
    db.session.commit()
    if earlier is None:
        return None
    if (earlier.item, earlier.amount) != (item.key, item.amount):
        raise NonceReused("It stands for another purchase. Use a new one for each.", money="You were not charged.")
    if earlier.state in ("failed", "expired"):
        earlier.nonce = None
        db.session.commit()
        return None
    return earlier


def _by_nonce(customer: Customer, nonce: str | None) -> Purchase | None:
    if nonce is None:
        return None
    query = select(Purchase).filter_by(customer_id=customer.id, nonce=nonce)
    return db.session.execute(query).scalar_one_or_none()


def close(purchase: Purchase) -> None:
    """End an open purchase, so that nobody can pay it any more; one that was paid is fulfilled. Commits."""
    if purchase.session_id is None:
        _open_session(purchase)  # it may exist at Stripe: the repeated call answers with it
    assert purchase.session_id is not None
    _expire(purchase)
    fulfilment.fulfil(purchase.mode, purchase.session_id)


def _expire(purchase: Purchase) -> None:
    """End the session at Stripe. One that cannot end was paid or has ended: the sync that follows says which."""
    assert purchase.session_id is not None
    try:
        gateway.of(purchase.mode).expire_session(purchase.session_id)
    except StripeRefused:
        log.info("session_not_open", order=purchase.number)


def _already_paid(purchase: Purchase) -> Conflict:
    return Conflict(
        f"Your order {purchase.number} for {purchase.name} is complete already, so nothing new was started.",
        money="You were not charged a second time.",
        action=("/billing", "See your plan"),
    )


def _claim(customer: Customer, item: Item, stripe_customer: str, way: Way) -> Purchase:
    """The order's row. Of two at once the database lets one in; the other gets that one."""
    number = new_number()
    params = sessions.params(customer, item, number, stripe_customer, (way.success_url, way.cancel_url))
    purchase = standing.begin(customer, item, number, params, nonce=way.nonce)
    try:
        db.session.commit()
    except IntegrityError:
        db.session.rollback()
        winner = _open_plan(customer) if item.kind == "plan" else _by_nonce(customer, way.nonce)
        if winner is None or (winner.item, winner.amount) != (item.key, item.amount):
            raise Conflict("Another checkout was started at the same moment. Please choose again.") from None
        return winner
    return purchase


def _open_session(purchase: Purchase) -> None:
    """Call and confirm: from the row alone, so that a repeated call is the same call.

    A definite no ends the order, so that it stands in the way of no other. Two that ask at once get one answer.
    """
    try:
        session = claims.call(purchase, lambda key: gateway.of(purchase.mode).create_session(purchase.params, key))
    except StripeRefused as error:
        _end(purchase, error.stripe_code)
        if error.stripe_code == "resource_missing":
            customers.sync(purchase.mode, purchase.params["customer"])  # it may be the one that is gone
        raise
    confirm = update(Purchase).where(Purchase.id == purchase.id, Purchase.session_id.is_(None))
    facts = {"session_id": session.id, "session_url": session.url, "session_expires_at": session.expires_at}
    db.session.execute(confirm.values(**facts))
    db.session.commit()
    db.session.refresh(purchase)
    db.session.commit()
    if not sessions.fits(purchase, session):
        _refuse_other_price(purchase, session)


def _refuse_other_price(purchase: Purchase, session: gateway.Session) -> None:
    """What Stripe would charge is not what the page said: nobody is sent there."""
    log.error(
        "price_differs",
        order=purchase.number,
        ours=purchase.amount,
        stripes=session.amount_subtotal,
        item=purchase.item,
    )
    _expire(purchase)
    _end(purchase, "price_differs")
    raise Conflict(
        f"{purchase.name} cannot be bought just now: its price is being changed. Please try again later.",
        money="You were not charged.",
    )


def _end(purchase: Purchase, why: str) -> None:
    standing.move(purchase, "failed", why)
    db.session.commit()
