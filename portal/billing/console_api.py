"""The JSON API under /api/auth for a separate console: checkout, Stripe's portal, subscriptions."""

from typing import Annotated

from flask import Blueprint
from pydantic import Field, RootModel, StringConstraints
from sqlalchemy import select

from portal.api import authentication
from portal.api.authentication import caller_required
from portal.api.bodies import JsonBody, Nothing, takes
from portal.api.responses import Answer, answers
from portal.billing import plan_checkout, subscriptions
from portal.billing.plan_checkout import AlreadySubscribed
from portal.billing.status import summaries
from portal.catalogue import items
from portal.catalogue.items import Archived
from portal.customers import stripe_customers
from portal.customers.stripe_customers import PortalRefused
from portal.errors import Conflict, StripeRefused, StripeUnavailable
from portal.extensions import db
from portal.models import Plan
from portal.settings import current_settings

blueprint = Blueprint("console_api", __name__, url_prefix="/api/auth")


class PriceWanted(JsonBody):
    """The price to buy."""

    price_id: Annotated[
        str,
        StringConstraints(strip_whitespace=True, min_length=1, max_length=255),
        Field(description="A Stripe price id, or a catalogue key.", examples=["pro-monthly"]),
    ]


class Address(Answer):
    """Where to redirect the customer."""

    url: str


class Subscriptions(RootModel[list[summaries.Listed]]):
    """The customer's subscriptions, newest first."""


@blueprint.post("/stripe/checkout")
@caller_required("spend", limit="10/minute", even_suspended=True)
@takes(PriceWanted)
@answers(Address, AlreadySubscribed, Archived, Conflict, StripeRefused, StripeUnavailable)
def checkout(body: PriceWanted) -> Address:
    """Create an order of a plan. The customer pays at `url` and returns to FRONTEND_URL."""
    customer = authentication.customer()
    item = items.find(body.price_id, customer.mode, "price_id")
    order = plan_checkout.pay(customer, item, front=current_settings().frontend_url, field="price_id")
    return Address(url=order.session_url)


@blueprint.post("/stripe/portal")
@caller_required("spend", limit="10/minute", even_suspended=True)
@takes(Nothing)
@answers(Address, PortalRefused, StripeUnavailable)
def portal(_body: Nothing) -> Address:
    """Return the URL of Stripe's portal. The customer is created at Stripe if needed."""
    front = current_settings().frontend_url
    return Address(url=stripe_customers.portal_url(authentication.customer(), None, f"{front}/billing"))


@blueprint.get("/subscriptions")
@caller_required(limit="60/minute")
@answers(Subscriptions)
def list_subscriptions() -> Subscriptions:
    """List the customer's subscriptions, including ended ones, newest first."""
    by_tier = {plan.tier: plan for plan in db.session.execute(select(Plan)).scalars()}
    found = subscriptions.of_customer(authentication.customer().id, ended=True)
    return Subscriptions([summaries.listed(one, by_tier) for one in found])
