"""Off-session orders of plans in test mode, with a chosen card behavior."""

import structlog

from portal import gateway
from portal.billing import subscriptions
from portal.catalogue.items import Item
from portal.customers import stripe_customers
from portal.errors import StripeRefused
from portal.extensions import db
from portal.models import Customer, Order, OrderState, Subscription
from portal.orders import off_session, states
from portal.sync import idempotency

log = structlog.get_logger()

GOOD_ONCE = "fails_later"  # the first invoice is paid by a good card, and the next ones by a bad one


def buy(customer: Customer, item: Item, card: str, nonce: str | None = None) -> Order:
    """Create a subscription whose first invoice is paid, or not, immediately. Commits; webhooks confirm the same.

    `card` is one of off_session.CARDS. Raises StripeUnavailable, after which `pay` repeats the same calls.
    """
    params: off_session.Params = {
        "customer": stripe_customers.at_stripe(customer),
        "items": [{"price": item.stripe_id}],
        "payment_behavior": "default_incomplete",
        "card": card,
    }
    if item.trial_days:
        params["trial_period_days"] = item.trial_days
    order = off_session.order(customer, item, params, nonce=nonce)
    db.session.commit()
    pay(order)
    return order


def pay(order: Order) -> None:
    """Save the cards, create the subscription and pay its first invoice, each with its own idempotency key.
    Commits.

    The payment comes last, so that a paid order is complete. Raises StripeUnavailable.
    """
    try:
        methods = _save_cards(order)
        _subscribe(order, methods[-1:])
        _pay_first(order, (methods or [off_session.CARDS["decline"]])[0])
    except StripeRefused as refused:
        log.info("test_purchase_declined", order=order.number, code=refused.stripe_code)
        states.move(order, OrderState.FAILED, refused.stripe_code)
        db.session.commit()
    if order.subscription_id is not None:
        subscriptions.sync(order.mode, order.subscription_id)
    db.session.refresh(order)
    db.session.commit()


def _save_cards(order: Order) -> list[str]:
    """Save the card for the first payment and the one for later payments, and store their ids. Commits.

    A card that is declined cannot be saved.
    """
    card = order.params["card"]
    wanted = {"card": "success", "next-card": card} if card == GOOD_ONCE else {"card": card}
    if card == "decline":
        wanted = {}
    return [_saved(order, step, off_session.CARDS[behavior]) for step, behavior in wanted.items()]


def _saved(order: Order, step: str, method: str) -> str:
    """Return the id of a card saved for the order, now or earlier. Commits."""
    saved = order.params.get("saved", {})
    if step not in saved:
        lane, customer = gateway.of(order.mode), str(order.params["customer"])
        made = idempotency.call(order, lambda key: lane.attach_method(method, customer, key), step)
        saved = saved | {step: made.id}
        order.params = order.params | {"saved": saved}
        db.session.commit()
    return str(saved[step])


def _subscribe(order: Order, default: list[str]) -> None:
    """Create the subscription, charged to this method from its second invoice on. Commits."""
    if order.subscription_id is not None:
        return
    lane = gateway.of(order.mode)
    params = {name: value for name, value in order.params.items() if name not in ("card", "saved")}
    if default:
        params["default_payment_method"] = default[0]
    made = idempotency.call(
        order,
        lambda key: lane.create_subscription(params, key),
        "subscribe",
        find=lambda named: _at_stripe(order, named),
        money=True,
    )
    order.subscription_id = made.id
    db.session.commit()


def _at_stripe(order: Order, named: str) -> gateway.Subscription | None:
    """Return the subscription that this order created, found by our metadata, or the one that an admin named."""
    made = gateway.of(order.mode).subscriptions(str(order.params["customer"]))
    if named:
        return next((one for one in made if one.id == named), None)
    return next((one for one in made if one.metadata.get("purchase") == order.number), None)


def _pay_first(order: Order, method: str) -> None:
    """Pay the first invoice, if anything is due."""
    assert order.subscription_id is not None
    lane = gateway.of(order.mode)
    payment = lane.first_payment(order.subscription_id)
    if payment is None or payment.status == "succeeded":
        return
    asked = {"payment_method": method}
    idempotency.call(
        order,
        lambda key: lane.confirm_intent(payment.id, asked, key),
        "pay",
        find=lambda _named: _confirmed(lane, payment.id),
    )


def _confirmed(lane: gateway.Lane, intent_id: str) -> gateway.PaymentIntent | None:
    """Return the payment if it was confirmed and not declined."""
    found = lane.payment_intent(intent_id)
    return found if found.status in ("succeeded", "processing", "requires_action") else None


def cancel(subscription: Subscription) -> None:
    """Cancel a test subscription immediately. Can be repeated. Commits."""
    mode, stripe_id = subscription.mode, subscription.stripe_id
    db.session.commit()
    try:
        gateway.of(mode).cancel_subscription(stripe_id, f"cancel-{stripe_id}")
    except StripeRefused as refused:
        log.info("test_subscription_not_cancelled", subscription=stripe_id, code=refused.stripe_code)
    subscriptions.sync(mode, stripe_id)
