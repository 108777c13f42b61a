"""Buying credits through the JSON API (seed 3): a checkout for the customer, and how it stands."""

from decimal import Decimal
from typing import Annotated, Literal

from flask import Blueprint
from pydantic import Field

from portal import callers, calls, money
from portal.answers import Answer, Success, answers
from portal.callers import caller_required
from portal.credits import buying, packages
from portal.errors import InvalidInput, NotFound, StripeRefused, StripeUnavailable
from portal.extensions import db, writes
from portal.inputs import JsonBody, idempotency_key, takes
from portal.purchases import fulfilment
from portal.purchases.checkout import NonceReused
from portal.settings import current_settings

blueprint = Blueprint("credits_purchase_api", __name__, url_prefix="/api/credits")

Word = Annotated[str, Field(min_length=1, max_length=64)]


class PackageWanted(JsonBody):
    """A package by its id or key, or `custom` with an amount in dollars."""

    package_id: Annotated[int | Word, Field(description="1 to 5, its key, or `custom`.", examples=["basic"])]
    payment_method: Literal["stripe"] = "stripe"
    amount: Annotated[int | float | None, Field(description="In dollars, with `custom`.", examples=[25])] = None


class Begun(Success):
    """A checkout to send the customer to."""

    message: str = "Checkout session created"
    payment_url: Annotated[str, Field(description="Where the customer pays.")]


class Session(Answer):
    """A checkout session as Stripe has it."""

    id: str
    payment_status: Annotated[str, Field(examples=["paid"])]
    amount_total: Annotated[int, Field(description="In minor units.", examples=[4500])]
    metadata: dict[str, str]


class Standing(Success):
    """How a checkout stands."""

    session: Session


@blueprint.post("/purchase")
@caller_required("spend", limit="10/minute", even_suspended=True)
@takes(PackageWanted)
@calls.reads("Idempotency-Key", "Your own name of this purchase: sent again, it gives the same checkout.")
@answers(Begun, NonceReused, StripeRefused, StripeUnavailable)
def purchase(body: PackageWanted) -> Begun:
    """Begin a purchase of credits. The customer pays at `payment_url` and comes back to FRONTEND_URL.

    The same `Idempotency-Key` again gives the same checkout; for another purchase it is refused (409).
    """
    customer = callers.customer()
    amount = None if body.amount is None else _minor_units(body.amount)
    item = packages.find(body.package_id, customer.mode, amount=amount)
    front, nonce = current_settings().frontend_url, idempotency_key()
    started = buying.begin(customer, item, front=front, nonce=nonce)
    return Begun(payment_url=started.session_url)


@blueprint.get("/session/<session_id>")
@writes
@caller_required(limit="60/minute")
@answers(Standing, NotFound, StripeRefused, StripeUnavailable)
def session(session_id: str) -> Standing:
    """How a checkout of the caller's stands at Stripe. Looking brings the purchase up to date."""
    customer = callers.customer()
    if buying.by_session(session_id, customer.id) is None:
        raise NotFound("There is no such checkout session in your account.")
    db.session.commit()
    snapshot = fulfilment.act(fulfilment.read(customer.mode, session_id))
    fulfilment.apply(snapshot)
    db.session.commit()
    found = snapshot.session
    return Standing(
        session=Session(
            id=found.id,
            payment_status=found.payment_status,
            amount_total=found.amount_total,
            metadata=found.metadata,
        )
    )


def _minor_units(amount: float) -> int:
    """Minor units of an amount in dollars. Raises InvalidInput for fractions of a cent, and what is no number."""
    value = Decimal(str(amount)).scaleb(money.exponent(packages.limits().currency))
    if not value.is_finite() or value != value.to_integral_value():
        words = "The amount has more decimals than the currency allows."
        raise InvalidInput(words, errors={"amount": words}, money=packages.NOTHING_CHARGED)
    return int(value)
