"""Plans bought off session, in test mode, with a card that behaves as is asked for."""

from collections.abc import Callable
from typing import TypeVar

import structlog

from portal import gateway
from portal.billing import subscriptions
from portal.errors import StripeRefused
from portal.extensions import db
from portal.models import Customer, Purchase, Subscription
from portal.purchases import claims, customers, off_session, standing
from portal.purchases.items import Item

log = structlog.get_logger()

Answer = TypeVar("Answer")
GOOD_ONCE = "fails_later"  # it pays the first invoice with a good card, and leaves a bad one for the next


def buy(customer: Customer, item: Item, card: str, nonce: str | None = None) -> Purchase:
    """A subscription whose first invoice is paid, or not, at once. Commits; the webhooks say the same once more.

    `card` is one of off_session.CARDS. Raises StripeUnavailable, after which `pay` repeats the same calls.
    """
    params: off_session.Params = {
        "customer": customers.at_stripe(customer),
        "items": [{"price": item.stripe_id}],
        "payment_behavior": "default_incomplete",
        "card": card,
    }
    if item.trial_days:
        params["trial_period_days"] = item.trial_days
    purchase = off_session.order(customer, item, params, nonce=nonce)
    db.session.commit()
    pay(purchase)
    return purchase


def pay(purchase: Purchase) -> None:
    """Make the subscription and pay its first invoice, each step under a key of its own. Commits."""
    lane = gateway.of(purchase.mode)
    params = {name: value for name, value in purchase.params.items() if name != "card"}
    if purchase.subscription_id is None:  # else a step after it got no answer
        made = _step(purchase, "subscribe", lambda key: lane.create_subscription(params, key))
        purchase.subscription_id = made.id
        db.session.commit()
    try:
        _pay_first(purchase, purchase.subscription_id, purchase.params["card"])
    except StripeRefused as refused:
        log.info("test_purchase_declined", order=purchase.number, code=refused.stripe_code)
        standing.move(purchase, "failed", refused.stripe_code)
        db.session.commit()
    subscriptions.sync(purchase.mode, purchase.subscription_id)
    db.session.refresh(purchase)
    db.session.commit()


def _pay_first(purchase: Purchase, subscription_id: str, card: str) -> None:
    lane = gateway.of(purchase.mode)
    method = off_session.CARDS["success" if card == GOOD_ONCE else card]
    if card != "decline":  # which cannot even be saved
        method = _save(purchase, subscription_id, method, "card")
    payment = lane.first_payment(subscription_id)
    if payment is not None and payment.status != "succeeded":
        asked = {"payment_method": method}
        _step(purchase, "pay", lambda key: lane.confirm_intent(payment.id, asked, key))
    if card == GOOD_ONCE:
        _save(purchase, subscription_id, off_session.CARDS[card], "next-card")


def _save(purchase: Purchase, subscription_id: str, method: str, step: str) -> str:
    """Save a card, and have the subscription charged to it from now on; gives its id."""
    lane = gateway.of(purchase.mode)
    customer = str(purchase.params["customer"])
    saved = _step(purchase, step, lambda key: lane.attach_method(method, customer, key))
    default = {"default_payment_method": saved.id}
    _step(purchase, f"{step}-default", lambda key: lane.update_subscription(subscription_id, default, key))
    return saved.id


def _step(purchase: Purchase, step: str, ask: Callable[[str], Answer]) -> Answer:
    return claims.call(purchase, lambda key: ask(f"{key}-{step}"))


def cancel(subscription: Subscription) -> None:
    """End a test subscription now; one that has ended stays so. Commits."""
    mode, stripe_id = subscription.mode, subscription.stripe_id
    db.session.commit()
    try:
        gateway.of(mode).cancel_subscription(stripe_id, f"cancel-{stripe_id}")
    except StripeRefused as refused:
        log.info("test_subscription_not_cancelled", subscription=stripe_id, code=refused.stripe_code)
    subscriptions.sync(mode, stripe_id)
