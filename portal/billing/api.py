"""Plans in the JSON API: order one, read it, open Stripe's portal, cancel."""

from typing import Annotated, Any, Literal

from flask import Blueprint
from pydantic import Field

from portal.api import authentication
from portal.api.authentication import caller_required
from portal.api.bodies import JsonBody, Nothing, takes
from portal.api.responses import Answer, answers
from portal.billing import cancellation, plan_checkout
from portal.billing.cancellation import NothingToCancel
from portal.billing.plan_checkout import AlreadySubscribed
from portal.billing.status import summaries
from portal.catalogue import items
from portal.catalogue.items import Archived
from portal.customers import stripe_customers
from portal.customers.stripe_customers import PortalRefused
from portal.errors import Conflict, StripeRefused, StripeUnavailable
from portal.models.subscription import CancellationReason
from portal.settings import current_settings

blueprint = Blueprint("billing_api", __name__, url_prefix="/api/v1/billing")


CODES: list[Any] = [str(reason) for reason in CancellationReason]


class PlanWanted(JsonBody):
    """A plan of the catalogue and its billing cycle."""

    plan_name: Annotated[str, Field(min_length=1, max_length=64, description="Its key.", examples=["pro"])]
    billing_cycle: Literal["monthly", "yearly"] = "monthly"


class Leaving(JsonBody):
    """The reason for cancelling, if the customer gives one."""

    reason: Annotated[str, Field(description="One of Stripe's codes.", json_schema_extra={"enum": CODES})] = ""
    comment: Annotated[
        str, Field(max_length=cancellation.LONGEST_COMMENT, pattern=r"^[^\x00]*$", description="In plain words.")
    ] = ""


class Checkout(Answer):
    """A checkout to redirect the customer to."""

    checkout_url: str
    session_id: Annotated[str, Field(examples=["cs_live_a1b2"])]


class PortalAddress(Answer):
    """The page where the customer manages the card and billing details."""

    portal_url: str


@blueprint.post("/checkout")
@caller_required("spend", limit="10/minute", even_suspended=True)
@takes(PlanWanted)
@answers(Checkout, AlreadySubscribed, Archived, Conflict, StripeRefused, StripeUnavailable)
def checkout(body: PlanWanted) -> Checkout:
    """Create an order of a plan. The customer pays at `checkout_url` and returns to FRONTEND_URL.

    A customer who already has a plan gets 409 and `change_url`.
    """
    customer = authentication.customer()
    item = items.find(f"{body.plan_name.lower()}-{body.billing_cycle}", customer.mode, "plan_name")
    order = plan_checkout.pay(customer, item, front=current_settings().frontend_url, field="plan_name")
    return Checkout(checkout_url=order.session_url, session_id=order.session_id)


@blueprint.get("/subscription")
@caller_required()
@answers(summaries.Current)
def subscription() -> summaries.Current:
    """Return the current plan with its entitlements. Without a subscription it is the free plan."""
    return summaries.current(authentication.customer())


@blueprint.post("/portal")
@caller_required("spend", limit="10/minute", even_suspended=True)
@takes(Nothing)
@answers(PortalAddress, PortalRefused, StripeUnavailable)
def portal(_body: Nothing) -> PortalAddress:
    """Return the URL of Stripe's portal. The customer is created at Stripe if needed."""
    front = current_settings().frontend_url
    return PortalAddress(
        portal_url=stripe_customers.portal_url(authentication.customer(), None, f"{front}/billing")
    )


@blueprint.post("/cancel")
@caller_required("spend", limit="10/minute", even_suspended=True)
@takes(Leaving)
@answers(summaries.Current, NothingToCancel, Conflict, StripeRefused, StripeUnavailable)
def cancel(body: Leaving) -> summaries.Current:
    """Cancel the plan at the end of the paid period. It stays active until then; the body is optional."""
    customer = authentication.customer()
    cancellation.cancel(customer, body.reason, body.comment)
    return summaries.current(customer)
