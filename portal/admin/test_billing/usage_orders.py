"""Off-session agreements to pay as you go in test mode, with a chosen card behavior."""

import structlog

from portal import gateway
from portal.catalogue import meters
from portal.catalogue.items import Item
from portal.customers import stripe_customers
from portal.errors import StripeRefused
from portal.extensions import db
from portal.models import Customer, Order, OrderState
from portal.orders import off_session, states
from portal.sync import idempotency, locks
from portal.usage import agreements

log = structlog.get_logger()


def item() -> Item:
    """Return the item of the order: nothing is due until something is used."""
    currency = meters.on_sale()[0].currency
    return Item("usage", "usage", "Pay as you go", None, 0, currency, interval=None, stripe_id=None)


def buy(customer: Customer, wanted: Item, card: str, nonce: str | None = None) -> Order:
    """Save the card, and create the one metered subscription. Commits several times.

    `card` is one of off_session.CARDS. Raises AlreadyAgreed, and StripeUnavailable, after which `pay` continues.
    """
    agreements.refuse_second(customer)
    agreements.check_on_sale(customer.mode)
    params = {"customer": stripe_customers.at_stripe(customer), "card": card}
    order = off_session.order(customer, wanted, params, nonce=nonce)
    db.session.commit()
    pay(order)
    return order


def pay(order: Order) -> None:
    """Call and confirm. Commits."""
    lane, name = gateway.of(order.mode), str(order.params["customer"])
    method = off_session.CARDS[order.params["card"]]
    try:
        saved = idempotency.call(order, lambda key: lane.attach_method(method, name, key))
    except StripeRefused as refused:
        log.info("test_purchase_declined", order=order.number, code=refused.stripe_code)
        states.move(order, OrderState.FAILED, refused.stripe_code)
        db.session.commit()
        return
    idempotency.call(
        order,
        lambda key: lane.set_default_method(name, saved.id, key),
        "default",
        find=lambda _named: agreements.charged_to(lane, name, saved.id),
    )
    agreement = agreements.agree(order.customer_id, order.mode, name)
    locks.lock(order.customer_id)
    states.move(order, OrderState.PAID)
    order.completed_at = order.paid_at
    agreements.give(order, agreements.Agreed(agreement))
    db.session.commit()
