"""Orders that are charged while nobody is there: top-ups, and the admin's test purchases."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from portal import gateway, money
from portal.extensions import db
from portal.models import Customer, Purchase
from portal.models.purchase import new_number
from portal.purchases import claims, standing
from portal.purchases.items import Item

Params = dict[str, Any]


@dataclass(frozen=True)
class Pay:
    """How an order of a kind goes on off session: `go_on` commits; `given_up` flushes where a person decides."""

    go_on: Callable[[Purchase], None]
    given_up: Callable[[Purchase], None] = lambda purchase: None


pays: dict[str, Pay] = {}  # by kind; rooms register theirs in create_app

# How a card behaves, by Stripe's own test payment methods (https://docs.stripe.com/testing#cards).
CARDS = {
    "success": "pm_card_visa",
    "decline": "pm_card_chargeDeclined",
    "requires_auth": "pm_card_threeDSecure2Required",
    "fails_later": "pm_card_chargeCustomerFail",
    "dispute": "pm_card_createDispute",
}


def order(
    customer: Customer, item: Item, params: Params, *, auto: bool = False, nonce: str | None = None
) -> Purchase:
    """The order's row, added and not flushed; `params` get the metadata by which Stripe's objects name it."""
    number = new_number()
    metadata = {"purchase": number, "portal_mode": customer.mode, "kind": item.kind, "off_session": "true"}
    if auto:
        metadata["auto"] = "true"
    facts = {"auto": auto, "off_session": True, "nonce": nonce}
    return standing.begin(customer, item, number, params | {"metadata": metadata}, **facts)


def intent(customer: Customer, item: Item, stripe_customer: str, method: str, what: str) -> Params:
    """What a payment of this item is made with, charged to a payment method; `what` is said beside its name."""
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


def charge(purchase: Purchase) -> gateway.PaymentIntent:
    """Call Stripe, from the row alone, so that a repeated call is the same call. Commits.

    Raises StripeRefused, StripeUnavailable.
    """
    lane = gateway.of(purchase.mode)
    return claims.call(
        purchase,
        lambda key: lane.create_payment_intent(purchase.params, key),
        find=lambda named: at_stripe(purchase, named),
        money=True,
    )


def at_stripe(purchase: Purchase, named: str = "") -> gateway.PaymentIntent | None:
    """The order's payment: by our own metadata, for of a call whose answer was lost we have no id.

    With `named` the one that a person named, if it is this customer's and as much.
    """
    found = gateway.of(purchase.mode).payment_intents(str(purchase.params["customer"]))
    if named:
        wanted = (named, purchase.amount, purchase.currency)
        return next((one for one in found if (one.id, one.amount, one.currency) == wanted), None)
    return next((one for one in found if one.metadata.get("purchase") == purchase.number), None)


def resume(purchase: Purchase) -> None:
    """Go on with an order that Stripe left open, from its row alone. Commits."""
    if purchase.off_session and purchase.state in ("open", "unclear"):
        pays[purchase.kind].go_on(purchase)
    else:
        claims.close(purchase)


def give_up(purchase: Purchase) -> None:
    """A person decides about it. Flushes."""
    if purchase.state == "open":
        standing.move(purchase, "unclear")
        pays[purchase.kind].given_up(purchase)


def reopen(purchase: Purchase) -> None:
    """It is tried again. Flushes."""
    if purchase.state == "unclear":
        standing.move(purchase, "open")


def words(purchase: Purchase) -> str:
    """What Stripe was asked for."""
    return f"Order {purchase.number}: {purchase.name}, {money.text(purchase.amount, purchase.currency)}"


def settle(facts: gateway.Subscription, customer_id: int) -> None:
    """Bring the order of such a subscription to where that is: its own metadata names it. Flushes."""
    query = select(Purchase).filter_by(
        number=facts.metadata.get("purchase"), customer_id=customer_id, off_session=True
    )
    purchase = db.session.execute(query).scalar_one_or_none()
    if purchase is None:
        return
    purchase.subscription_id = facts.id
    if facts.status in ("active", "trialing") and purchase.paid_at is None:
        standing.move(purchase, "paid")
        purchase.completed_at = purchase.paid_at
    elif facts.status == "incomplete_expired" and purchase.state in ("open", "unclear"):
        standing.move(purchase, "expired")
