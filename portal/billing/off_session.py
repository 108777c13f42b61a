"""Plans bought off session, in test mode, with a card that behaves as is asked for."""

import structlog

from portal import gateway
from portal.billing import subscriptions
from portal.errors import StripeRefused
from portal.extensions import db
from portal.models import Customer, Purchase, Subscription
from portal.purchases import claims, customers, off_session, standing
from portal.purchases.items import Item

log = structlog.get_logger()

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
    """Make the subscription and pay its first invoice, each step under a key of its own. Commits.

    Raises StripeUnavailable.
    """
    lane = gateway.of(purchase.mode)
    params = {name: value for name, value in purchase.params.items() if name != "card"}
    if purchase.subscription_id is None:  # else a step after it got no answer
        made = claims.call(
            purchase,
            lambda key: lane.create_subscription(params, key),
            "subscribe",
            find=lambda named: _at_stripe(purchase, named),
            money=True,
        )
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


def _at_stripe(purchase: Purchase, named: str) -> gateway.Subscription | None:
    """The subscription that this order made: by our metadata, or the one that a person named."""
    made = gateway.of(purchase.mode).subscriptions(str(purchase.params["customer"]))
    if named:
        return next((one for one in made if one.id == named), None)
    return next((one for one in made if one.metadata.get("purchase") == purchase.number), None)


def _pay_first(purchase: Purchase, subscription_id: str, card: str) -> None:
    lane = gateway.of(purchase.mode)
    method = off_session.CARDS["success" if card == GOOD_ONCE else card]
    if card != "decline":  # which cannot even be saved
        method = _save(purchase, subscription_id, method, "card")
    payment = lane.first_payment(subscription_id)
    if payment is not None and payment.status != "succeeded":
        asked = {"payment_method": method}
        claims.call(
            purchase,
            lambda key: lane.confirm_intent(payment.id, asked, key),
            "pay",
            find=lambda _named: _confirmed(lane, payment.id),
        )
    if card == GOOD_ONCE:
        _save(purchase, subscription_id, off_session.CARDS[card], "next-card")


def _confirmed(lane: gateway.Lane, intent_id: str) -> gateway.PaymentIntent | None:
    """The payment, where it was confirmed and not declined."""
    found = lane.payment_intent(intent_id)
    return found if found.status in ("succeeded", "processing", "requires_action") else None


def _save(purchase: Purchase, subscription_id: str, method: str, step: str) -> str:
    """Save a card, and have the subscription charged to it from now on; gives its id."""
    lane = gateway.of(purchase.mode)
    customer = str(purchase.params["customer"])
    saved = claims.call(purchase, lambda key: lane.attach_method(method, customer, key), step)
    default = {"default_payment_method": saved.id}
    claims.call(
        purchase,
        lambda key: lane.update_subscription(subscription_id, default, key),
        f"{step}-default",
        find=lambda _named: _charged_to(lane, subscription_id, saved.id),
    )
    return saved.id


def _charged_to(lane: gateway.Lane, subscription_id: str, method: str) -> gateway.Subscription | None:
    """The subscription, where it is charged to this method."""
    found = lane.subscription(subscription_id)
    return found if found.method == method else None


def cancel(subscription: Subscription) -> None:
    """End a test subscription now; one that has ended stays so. Commits."""
    mode, stripe_id = subscription.mode, subscription.stripe_id
    db.session.commit()
    try:
        gateway.of(mode).cancel_subscription(stripe_id, f"cancel-{stripe_id}")
    except StripeRefused as refused:
        log.info("test_subscription_not_cancelled", subscription=stripe_id, code=refused.stripe_code)
    subscriptions.sync(mode, stripe_id)
