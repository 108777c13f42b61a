"""Beginning a purchase of credits, and whose it is."""

from flask import url_for
from sqlalchemy import select

from portal.extensions import db
from portal.models import Customer, Purchase
from portal.purchases import checkout
from portal.purchases.items import Item

SESSION_ID = "{CHECKOUT_SESSION_ID}"  # Stripe puts the session's id in its place


def begin(customer: Customer, item: Item, *, front: str, nonce: str | None = None) -> Purchase:
    """A purchase with its checkout page in `session_url`; `front` is the site it comes back to. Commits.

    The same nonce again gives the purchase that it began.
    """
    db.session.commit()
    success_url = f"{front}{url_for('credits.success')}?session_id={SESSION_ID}"
    return checkout.start(customer, item, checkout.Way(success_url, front + url_for("credits.index"), nonce))


def by_session(session_id: str, customer_id: int | None) -> Purchase | None:
    """The customer's own purchase of credits of this Checkout Session."""
    query = select(Purchase).filter_by(session_id=session_id, customer_id=customer_id, kind="credits")
    return db.session.execute(query).scalar_one_or_none()
