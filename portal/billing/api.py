"""Buying from a console of one's own (seed 4): checkout, Stripe's portal, subscriptions, by API key."""

from typing import Annotated

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue
from pydantic import StringConstraints
from sqlalchemy import select

from portal import callers
from portal.billing import buying, subscriptions, words
from portal.callers import api_key_required
from portal.errors import InvalidInput
from portal.extensions import db, limiter
from portal.inputs import JsonBody, takes
from portal.models import Plan, Subscription
from portal.pages import rfc3339
from portal.purchases import customers
from portal.settings import current_settings

blueprint = Blueprint("billing_api", __name__, url_prefix="/api/auth")

PER_CALLER = "10/minute"


class Checkout(JsonBody):
    """What is bought: a Stripe price id, or a catalogue key such as `pro-monthly`."""

    price_id: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=255)]


class Nothing(JsonBody):
    """A body without fields; it may be left out."""


@blueprint.post("/stripe/checkout")
@api_key_required
@limiter.limit(PER_CALLER, key_func=callers.key)
@takes(Checkout)
def checkout(body: Checkout) -> ResponseReturnValue:
    """Begin a purchase; the customer pays at `url` and comes back to FRONTEND_URL."""
    front = current_settings().frontend_url
    customer = callers.customer()
    db.session.commit()
    purchase = buying.choose(customer, body.price_id, front=front, field="price_id")
    if purchase.session_url is None:
        raise InvalidInput("The free plan costs nothing.", errors={"price_id": "nothing to pay"})
    return {"url": purchase.session_url}


@blueprint.post("/stripe/portal")
@api_key_required
@limiter.limit(PER_CALLER, key_func=callers.key)
@takes(Nothing)
def portal(_body: Nothing) -> ResponseReturnValue:
    """The address of Stripe's portal; the customer at Stripe is made where there is none."""
    front = current_settings().frontend_url
    return {"url": customers.portal_url(callers.customer(), None, f"{front}/billing")}


@blueprint.get("/subscriptions")
@api_key_required
@limiter.limit("60/minute", key_func=callers.key)
def list_subscriptions() -> ResponseReturnValue:
    """The customer's subscriptions, ended ones too, newest first."""
    by_tier = {plan.tier: plan for plan in db.session.execute(select(Plan)).scalars()}
    found = subscriptions.of_customer(callers.customer().id, ended=True)
    return jsonify([_shown(one, by_tier) for one in found])


def _shown(subscription: Subscription, by_tier: dict[str, Plan]) -> dict[str, object]:
    return {
        "id": subscription.stripe_id,
        "provider": "stripe",
        "status": subscription.status,
        "tier": subscription.tier,
        "plan_name": words.name(subscription, by_tier),
        "price_id": subscription.price_id,
        "amount": subscription.amount,
        "currency": subscription.currency,
        "interval": subscription.interval,
        "interval_count": subscription.interval_count,
        "current_period_end": rfc3339(subscription.current_period_end),
        "cancel_at": rfc3339(subscription.cancel_at),
        "ended_at": rfc3339(subscription.ended_at),
        "created_at": rfc3339(subscription.started_at),
    }
