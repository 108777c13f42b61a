"""Credits bought off session, in test mode, with a card that behaves as is asked for."""

import structlog

from portal.credits import payments
from portal.errors import StripeRefused
from portal.extensions import db
from portal.models import Customer, Purchase
from portal.purchases import customers, off_session, standing
from portal.purchases.items import Item

log = structlog.get_logger()


def buy(customer: Customer, item: Item, card: str, nonce: str | None = None) -> Purchase:
    """A purchase of credits that is paid, or failed, at once. Commits; the webhook says the same once more.

    `card` is one of off_session.CARDS. Raises StripeUnavailable, after which `pay` repeats the same call.
    """
    stripe_customer = customers.at_stripe(customer)
    params = off_session.intent(customer, item, stripe_customer, off_session.CARDS[card], "test purchase")
    params.pop("receipt_email")  # it is not the user who buys
    purchase = off_session.order(customer, item, params, nonce=nonce)
    db.session.commit()
    pay(purchase)
    return purchase


def pay(purchase: Purchase) -> None:
    """Call and confirm. Commits."""
    try:
        intent = off_session.charge(purchase)
    except StripeRefused as refused:
        log.info("test_purchase_declined", order=purchase.number, code=refused.stripe_code)
        standing.move(purchase, "failed", refused.stripe_code)
        db.session.commit()
        return
    payments.sync(purchase.mode, intent.id)
    db.session.refresh(purchase)
    db.session.commit()
