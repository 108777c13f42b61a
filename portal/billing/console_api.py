"""Buying from a console of one's own (seed 4): checkout, Stripe's portal, subscriptions."""

from typing import Annotated

from flask import Blueprint
from pydantic import Field, RootModel, StringConstraints
from sqlalchemy import select

from portal import callers
from portal.answers import Answer, answers
from portal.billing import buying, facts, subscriptions
from portal.billing.buying import AlreadySubscribed
from portal.callers import caller_required
from portal.errors import Conflict, StripeRefused, StripeUnavailable
from portal.extensions import db
from portal.inputs import JsonBody, Nothing, takes
from portal.models import Plan
from portal.purchases import customers, items
from portal.purchases.customers import PortalRefused
from portal.settings import current_settings

blueprint = Blueprint("console_api", __name__, url_prefix="/api/auth")


class PriceWanted(JsonBody):
    """What is bought."""

    price_id: Annotated[
        str,
        StringConstraints(strip_whitespace=True, min_length=1, max_length=255),
        Field(description="A Stripe price id, or a catalogue key.", examples=["pro-monthly"]),
    ]


class Address(Answer):
    """Where to send the customer."""

    url: str


class Subscriptions(RootModel[list[facts.Listed]]):
    """The customer's subscriptions, newest first."""


@blueprint.post("/stripe/checkout")
@caller_required("spend", limit="10/minute", even_suspended=True)
@takes(PriceWanted)
@answers(Address, AlreadySubscribed, Conflict, StripeRefused, StripeUnavailable)
def checkout(body: PriceWanted) -> Address:
    """Begin a purchase of a plan. The customer pays at `url` and comes back to FRONTEND_URL."""
    customer = callers.customer()
    item = items.find(body.price_id, customer.mode, "price_id")
    purchase = buying.pay(customer, item, front=current_settings().frontend_url, field="price_id")
    return Address(url=purchase.session_url)


@blueprint.post("/stripe/portal")
@caller_required("spend", limit="10/minute", even_suspended=True)
@takes(Nothing)
@answers(Address, PortalRefused, StripeUnavailable)
def portal(_body: Nothing) -> Address:
    """The address of Stripe's portal. The customer at Stripe is made where there is none."""
    front = current_settings().frontend_url
    return Address(url=customers.portal_url(callers.customer(), None, f"{front}/billing"))


@blueprint.get("/subscriptions")
@caller_required(limit="60/minute")
@answers(Subscriptions)
def list_subscriptions() -> Subscriptions:
    """The customer's subscriptions, ended ones too, newest first."""
    by_tier = {plan.tier: plan for plan in db.session.execute(select(Plan)).scalars()}
    found = subscriptions.of_customer(callers.customer().id, ended=True)
    return Subscriptions([facts.listed(one, by_tier) for one in found])
