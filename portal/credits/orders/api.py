"""Buying credits with the JSON API: a checkout for the customer, and its state."""

from typing import Annotated, Literal

from flask import Blueprint
from pydantic import Field

from portal.api import authentication, calls
from portal.api.authentication import caller_required
from portal.api.bodies import JsonBody, idempotency_key, takes
from portal.api.responses import Answer, Success, answers, cached
from portal.catalogue import packages
from portal.catalogue.items import Archived
from portal.credits.orders import checkout
from portal.enums import Mode
from portal.errors import NotFound, StripeRefused, StripeUnavailable
from portal.extensions import db, limiter, writes
from portal.orders import fulfillment
from portal.orders.checkout import NonceReused
from portal.settings import current_settings

blueprint = Blueprint("credits_purchase_api", __name__, url_prefix="/api/credits")

Word = Annotated[str, Field(min_length=1, max_length=64)]


class PackageWanted(JsonBody):
    """A package by its id or key, or `custom` with an amount in dollars."""

    package_id: Annotated[int | Word, Field(description="1 to 5, its key, or `custom`.", examples=["basic"])]
    payment_method: Literal["stripe"] = "stripe"
    amount: Annotated[int | float | None, Field(description="In dollars, with `custom`.", examples=[25])] = None


class Begun(Success):
    """A checkout to redirect the customer to."""

    message: str = "Checkout session created"
    payment_url: Annotated[str, Field(description="Where the customer pays.")]


class Session(Answer):
    """A checkout session as Stripe has it."""

    id: str
    payment_status: Annotated[str, Field(examples=["paid"])]
    amount_total: Annotated[int, Field(description="In minor units.", examples=[4500])]
    metadata: dict[str, str]


class Standing(Success):
    """The state of a checkout."""

    session: Session


class Package(Answer):
    """Credits at one price."""

    id: Annotated[int, Field(description="For `package_id`.", examples=[2])]
    key: Annotated[str, Field(description="For `package_id` too.", examples=["basic"])]
    name: Annotated[str, Field(examples=["Basic"])]
    credits: Annotated[int, Field(examples=[5500])]
    amount: Annotated[int, Field(description="In minor units of `currency`.", examples=[4500])]
    currency: Annotated[str, Field(examples=["usd"])]
    price_per_credit: Annotated[str, Field(examples=["$0.008"])]
    best_value: bool


class CustomAmount(Answer):
    """Credits for an amount of the customer's choice: `package_id` is `custom`, with `amount` in whole units."""

    credits_per_unit: Annotated[int, Field(description="Per unit of the currency.", examples=[100])]
    minimum: Annotated[int, Field(description="In minor units of `currency`.", examples=[100])]
    maximum: Annotated[int, Field(description="In minor units of `currency`.", examples=[100000])]
    currency: Annotated[str, Field(examples=["usd"])]


class Packages(Success):
    """The credits on sale. A browser may keep them for a minute."""

    packages: list[Package]
    custom: Annotated[CustomAmount | None, Field(description="Null: not on sale.")]


@blueprint.get("/packages")
@limiter.limit("60/minute")
@cached(60)
@answers(Packages)
def list_packages() -> Packages:
    """List the credit packages on sale, in the order of the credits page. It needs no key."""
    bounds = packages.limits()
    custom = CustomAmount(
        credits_per_unit=bounds.credits_per_unit,
        minimum=bounds.minimum,
        maximum=bounds.maximum,
        currency=bounds.currency,
    )
    return Packages(
        packages=[
            Package(
                id=one.id,
                key=one.key,
                name=one.name,
                credits=one.credits,
                amount=one.amount,
                currency=one.currency,
                price_per_credit=one.per_credit,
                best_value=one.is_best,
            )
            for one in packages.offers()
        ],
        custom=custom if packages.has_custom(Mode.LIVE) else None,
    )


@blueprint.post("/purchase")
@caller_required("spend", limit="10/minute", even_suspended=True)
@takes(PackageWanted)
@calls.reads("Idempotency-Key", "Your own unique id of this purchase; repeating it returns the same checkout.")
@answers(Begun, NonceReused, Archived, StripeRefused, StripeUnavailable)
def purchase(body: PackageWanted) -> Begun:
    """Create an order of credits. The customer pays at `payment_url` and returns to FRONTEND_URL.

    Repeating an `Idempotency-Key` returns the same checkout. It is refused for a different order (409).
    """
    customer = authentication.customer()
    amount = None if body.amount is None else packages.minor_units(body.amount)
    item = packages.find(body.package_id, customer.mode, amount=amount)
    front, nonce = current_settings().frontend_url, idempotency_key()
    started = checkout.begin(customer, item, front=front, nonce=nonce)
    return Begun(payment_url=started.session_url)


@blueprint.get("/session/<session_id>")
@writes
@caller_required(limit="60/minute")
@answers(Standing, NotFound, StripeRefused, StripeUnavailable)
def session(session_id: str) -> Standing:
    """Return the state of the caller's checkout at Stripe. The request also brings the order up to date."""
    customer = authentication.customer()
    if checkout.by_session(session_id, customer.id) is None:
        raise NotFound("There is no such checkout session in your account.")
    db.session.commit()
    snapshot = fulfillment.act(fulfillment.read(customer.mode, session_id))
    fulfillment.apply(snapshot)
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
