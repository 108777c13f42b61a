"""The plan through the JSON API (seed 2): begin a purchase, see it, open Stripe's portal, cancel."""

from typing import Annotated, Any, Literal

from flask import Blueprint
from pydantic import Field

from portal import callers
from portal.answers import Answer, answers
from portal.billing import buying, cancelling, facts
from portal.billing.buying import AlreadySubscribed
from portal.billing.cancelling import NothingToCancel
from portal.callers import caller_required
from portal.errors import Conflict, StripeRefused, StripeUnavailable
from portal.inputs import JsonBody, Nothing, takes
from portal.purchases import customers, items
from portal.purchases.customers import PortalRefused
from portal.settings import current_settings

blueprint = Blueprint("billing_api", __name__, url_prefix="/api/v1/billing")


CODES: list[Any] = list(cancelling.REASONS)


class PlanWanted(JsonBody):
    """A plan of the catalogue and how often it is paid."""

    plan_name: Annotated[str, Field(min_length=1, max_length=64, description="Its key.", examples=["pro"])]
    billing_cycle: Literal["monthly", "yearly"] = "monthly"


class Leaving(JsonBody):
    """Why, if the customer says so."""

    reason: Annotated[str, Field(description="One of Stripe's codes.", json_schema_extra={"enum": CODES})] = ""
    comment: Annotated[
        str, Field(max_length=cancelling.LONGEST_COMMENT, pattern=r"^[^\x00]*$", description="In plain words.")
    ] = ""


class Checkout(Answer):
    """A checkout to send the customer to."""

    checkout_url: str
    session_id: Annotated[str, Field(examples=["cs_live_a1b2"])]


class PortalAddress(Answer):
    """Where the customer sees to card and details."""

    portal_url: str


@blueprint.post("/checkout")
@caller_required("spend", limit="10/minute", even_suspended=True)
@takes(PlanWanted)
@answers(Checkout, AlreadySubscribed, Conflict, StripeRefused, StripeUnavailable)
def checkout(body: PlanWanted) -> Checkout:
    """Begin a purchase of a plan. The customer pays at `checkout_url` and comes back to FRONTEND_URL.

    Who has a plan already is refused with 409 and `change_url`.
    """
    customer = callers.customer()
    item = items.find(f"{body.plan_name.lower()}-{body.billing_cycle}", customer.mode, "plan_name")
    purchase = buying.pay(customer, item, front=current_settings().frontend_url, field="plan_name")
    return Checkout(checkout_url=purchase.session_url, session_id=purchase.session_id)


@blueprint.get("/subscription")
@caller_required()
@answers(facts.Current)
def subscription() -> facts.Current:
    """The plan that counts now, with its entitlements. Without a subscription it is the free one."""
    return facts.current(callers.customer())


@blueprint.post("/portal")
@caller_required("spend", limit="10/minute", even_suspended=True)
@takes(Nothing)
@answers(PortalAddress, PortalRefused, StripeUnavailable)
def portal(_body: Nothing) -> PortalAddress:
    """The address of Stripe's portal. The customer at Stripe is made where there is none."""
    front = current_settings().frontend_url
    return PortalAddress(portal_url=customers.portal_url(callers.customer(), None, f"{front}/billing"))


@blueprint.post("/cancel")
@caller_required("spend", limit="10/minute", even_suspended=True)
@takes(Leaving)
@answers(facts.Current, NothingToCancel, Conflict, StripeRefused, StripeUnavailable)
def cancel(body: Leaving) -> facts.Current:
    """End the plan at the end of what is paid. Until then it is kept; the body may be left out."""
    customer = callers.customer()
    cancelling.cancel(customer, body.reason, body.comment)
    return facts.current(customer)
