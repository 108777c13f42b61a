"""Off-session orders: top-ups, and the admin's test orders."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from portal import gateway, money
from portal.catalogue.items import Item
from portal.extensions import db
from portal.models import Customer, Order, OrderState, SubscriptionStatus
from portal.models.order import new_number
from portal.orders import states
from portal.sync import idempotency

Params = dict[str, Any]


@dataclass(frozen=True)
class Pay:
    """How an order of a kind is continued off-session: `go_on` commits; `given_up` flushes when an admin has to
    decide.
    """

    go_on: Callable[[Order], object]
    given_up: Callable[[Order], None] = lambda order: None


pays: dict[str, Pay] = {}  # by `way`; rooms register theirs in create_app

# Stripe's test payment methods, by the behavior of the card (https://docs.stripe.com/testing#cards).
CARDS = {
    "success": "pm_card_visa",
    "decline": "pm_card_chargeDeclined",
    "requires_auth": "pm_card_threeDSecure2Required",
    "fails_later": "pm_card_chargeCustomerFail",
    "dispute": "pm_card_createDispute",
}


def order(
    customer: Customer, item: Item, params: Params, *, auto: bool = False, nonce: str | None = None
) -> Order:
    """Add the order's row without flushing. `params` get the metadata that identifies it on Stripe's objects."""
    number = new_number()
    metadata = {"purchase": number, "portal_mode": customer.mode, "kind": item.kind, "off_session": "true"}
    if auto:
        metadata["auto"] = "true"
    facts = {"auto": auto, "off_session": True, "nonce": nonce}
    return states.begin(customer, item, number, params | {"metadata": metadata}, **facts)


def intent(customer: Customer, item: Item, stripe_customer: str, method: str, what: str) -> Params:
    """Return the parameters of an off-session payment for this item. `what` is appended to its description."""
    return {
        "amount": item.amount,
        "currency": item.currency,
        "customer": stripe_customer,
        "payment_method": method,
        "off_session": True,
        "confirm": True,
        "description": f"{item.name} ({what})",
        "receipt_email": customer.user.email,
    }


def charge(order: Order) -> gateway.PaymentIntent:
    """Call Stripe from the row alone, so that a repeated call has the same parameters. Commits.

    Raises StripeRefused, StripeUnavailable.
    """
    lane = gateway.of(order.mode)
    return idempotency.call(
        order,
        lambda key: lane.create_payment_intent(order.params, key),
        find=lambda named: at_stripe(order, named),
        money=True,
    )


def at_stripe(order: Order, named: str = "") -> gateway.PaymentIntent | None:
    """Find the order's payment by our own metadata, because a call without a response left no id.

    With `named`, return the payment that an admin named, if its customer and amount match.
    """
    found = gateway.of(order.mode).payment_intents(str(order.params["customer"]))
    if named:
        wanted = (named, order.amount, order.currency)
        return next((one for one in found if (one.id, one.amount, one.currency) == wanted), None)
    return next((one for one in found if one.metadata.get("purchase") == order.number), None)


def way(order: Order) -> str:
    """Return how the order was created: "top_up" for an automatic one, else a test order's kind."""
    return "top_up" if order.auto else order.kind


def resume(order: Order) -> None:
    """Continue an order with an unknown outcome, from its row alone. Commits."""
    if order.off_session and not order.state.is_final:
        pays[way(order)].go_on(order)
    else:
        idempotency.close(order)


def give_up(order: Order) -> None:
    """Leave the decision to an admin. Flushes."""
    if order.state == OrderState.OPEN:
        states.move(order, OrderState.UNCLEAR)
        pays[way(order)].given_up(order)


def reopen(order: Order) -> None:
    """Allow another attempt. Flushes."""
    if order.state == OrderState.UNCLEAR:
        states.move(order, OrderState.OPEN)


def words(order: Order) -> str:
    """Describe the call to Stripe."""
    return f"Order {order.number}: {order.name}, {money.text(order.amount, order.currency)}"


def settle(facts: gateway.Subscription, customer_id: int) -> None:
    """Sync the order of such a subscription, which its own metadata names. Flushes."""
    query = select(Order).filter_by(
        number=facts.metadata.get("purchase"), customer_id=customer_id, off_session=True
    )
    order = db.session.execute(query).scalar_one_or_none()
    if order is None:
        return
    order.subscription_id = facts.id
    if SubscriptionStatus(facts.status).in_good_standing and order.paid_at is None:
        states.move(order, OrderState.PAID)
        order.completed_at = order.paid_at
    elif facts.status == SubscriptionStatus.INCOMPLETE_EXPIRED and not order.state.is_final:
        states.move(order, OrderState.EXPIRED)
