"""Creating an order of credits, and finding its owner."""

from flask import url_for
from sqlalchemy import select

from portal.catalogue.items import Item
from portal.extensions import db
from portal.models import Customer, Order
from portal.orders import checkout
from portal.orders.sessions import ID_PLACEHOLDER


def begin(customer: Customer, item: Item, *, front: str, nonce: str | None = None) -> Order:
    """Create an order with its checkout page in `session_url`. `front` is the site to return to. Commits.

    Repeating a nonce returns the order that it created.
    """
    db.session.commit()
    success_url = f"{front}{url_for('credits.success')}?session_id={ID_PLACEHOLDER}"
    return checkout.start(customer, item, checkout.Way(success_url, front + url_for("credits.index"), nonce))


def by_session(session_id: str, customer_id: int | None) -> Order | None:
    """Return the customer's own order of credits with this Checkout Session."""
    query = select(Order).filter_by(session_id=session_id, customer_id=customer_id, kind="credits")
    return db.session.execute(query).scalar_one_or_none()
