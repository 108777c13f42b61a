"""Buying credits through the JSON API (seed 3): a checkout for the customer, and how it stands."""

from decimal import Decimal
from typing import Annotated, Literal

from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from pydantic import Field

from portal import callers, money
from portal.callers import api_key_required
from portal.credits import buying, packages
from portal.errors import InvalidInput, NotFound
from portal.extensions import db, limiter, writes
from portal.inputs import JsonBody, takes
from portal.purchases import fulfilment
from portal.settings import current_settings

blueprint = Blueprint("credits_purchase_api", __name__, url_prefix="/api/credits")

Word = Annotated[str, Field(min_length=1, max_length=64)]


class Wanted(JsonBody):
    """A package by its id or key, or `custom` with an amount in dollars."""

    package_id: int | Word
    payment_method: Literal["stripe"] = "stripe"
    amount: int | float | None = None


@blueprint.post("/purchase")
@api_key_required
@limiter.limit("10/minute", key_func=callers.key)
@takes(Wanted)
def purchase(body: Wanted) -> ResponseReturnValue:
    """Begin a purchase; the customer pays at `payment_url` and comes back to FRONTEND_URL.

    The same `Idempotency-Key` again gives the same checkout; for another purchase it is refused (409).
    """
    customer = callers.customer()
    amount = None if body.amount is None else _minor_units(body.amount)
    item = packages.find(body.package_id, customer.mode, amount=amount)
    given = request.headers.get("Idempotency-Key")
    nonce = None if given is None else f"api:{given}"
    started = buying.begin(customer, item, front=current_settings().frontend_url, nonce=nonce)
    return {"success": True, "message": "Checkout session created", "payment_url": started.session_url}


@blueprint.get("/session/<session_id>")
@writes
@api_key_required
@limiter.limit("60/minute", key_func=callers.key)
def session(session_id: str) -> ResponseReturnValue:
    """How a checkout of the caller's stands at Stripe; looking brings the purchase up to date."""
    customer = callers.customer()
    if buying.by_session(session_id, customer.id) is None:
        raise NotFound("There is no such checkout session in your account.")
    db.session.commit()
    snapshot = fulfilment.read(customer.mode, session_id)
    fulfilment.apply(snapshot)
    db.session.commit()
    found = snapshot.session
    return {
        "success": True,
        "session": {
            "id": found.id,
            "payment_status": found.payment_status,
            "amount_total": found.amount_total,
            "metadata": found.metadata,
        },
    }


def _minor_units(amount: float) -> int:
    """Minor units of an amount in dollars. Raises InvalidInput for fractions of a cent, and what is no number."""
    value = Decimal(str(amount)).scaleb(money.exponent(packages.limits().currency))
    if not value.is_finite() or value != value.to_integral_value():
        words = "The amount has more decimals than the currency allows."
        raise InvalidInput(words, errors={"amount": words}, money=packages.NOTHING_CHARGED)
    return int(value)
