"""Pay as you go, begun off session, in test mode, with a card that behaves as is asked for."""

import structlog

from portal import gateway
from portal.customers import locks
from portal.errors import StripeRefused
from portal.extensions import db
from portal.models import Customer, Purchase
from portal.purchases import claims, customers, off_session, standing
from portal.purchases.items import Item
from portal.usage import agreements, meters

log = structlog.get_logger()


def item() -> Item:
    """What is ordered: nothing is due until something is used."""
    currency = meters.on_sale()[0].currency
    return Item("usage", "usage", "Pay as you go", None, 0, currency, interval=None, stripe_id=None)


def buy(customer: Customer, wanted: Item, card: str, nonce: str | None = None) -> Purchase:
    """Save the card, and make the one metered subscription. Commits as it goes.

    `card` is one of off_session.CARDS. Raises AlreadyAgreed, and StripeUnavailable, after which `pay` goes on.
    """
    agreements.refuse_second(customer)
    params = {"customer": customers.at_stripe(customer), "card": card}
    purchase = off_session.order(customer, wanted, params, nonce=nonce)
    db.session.commit()
    pay(purchase)
    return purchase


def pay(purchase: Purchase) -> None:
    """Call and confirm. Commits."""
    lane, name = gateway.of(purchase.mode), str(purchase.params["customer"])
    method = off_session.CARDS[purchase.params["card"]]
    try:
        saved = claims.call(purchase, lambda key: lane.attach_method(method, name, key))
    except StripeRefused as refused:
        log.info("test_purchase_declined", order=purchase.number, code=refused.stripe_code)
        standing.move(purchase, "failed", refused.stripe_code)
        db.session.commit()
        return
    lane.set_default_method(name, saved.id)
    agreement = agreements.agree(purchase.customer_id, purchase.mode, name)
    locks.lock(purchase.customer_id)
    standing.move(purchase, "paid")
    purchase.completed_at = purchase.paid_at
    agreements.give(purchase, agreements.Agreed(agreement))
    db.session.commit()
