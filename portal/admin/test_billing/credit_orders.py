"""Off-session orders of credits in test mode, with a chosen card behavior."""

import structlog

from portal.catalogue.items import Item
from portal.credits.orders import payments
from portal.customers import stripe_customers
from portal.errors import StripeRefused
from portal.extensions import db
from portal.models import Customer, Order, OrderState
from portal.orders import off_session, states

log = structlog.get_logger()


def buy(customer: Customer, item: Item, card: str, nonce: str | None = None) -> Order:
    """Create an order of credits that is paid, or fails, immediately. Commits; the webhook then confirms the same.

    `card` is one of off_session.CARDS. Raises StripeUnavailable, after which `pay` repeats the same call.
    """
    stripe_customer = stripe_customers.at_stripe(customer)
    params = off_session.intent(customer, item, stripe_customer, off_session.CARDS[card], "test purchase")
    params.pop("receipt_email")  # the user did not order it
    order = off_session.order(customer, item, params, nonce=nonce)
    db.session.commit()
    pay(order)
    return order


def pay(order: Order) -> None:
    """Call and confirm. Commits."""
    try:
        intent = off_session.charge(order)
    except StripeRefused as refused:
        log.info("test_purchase_declined", order=order.number, code=refused.stripe_code)
        states.move(order, OrderState.FAILED, refused.stripe_code)
        db.session.commit()
        return
    payments.sync(order.mode, intent.id)
    db.session.refresh(order)
    db.session.commit()
