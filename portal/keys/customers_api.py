"""Customers, for the operator's own services: facts by customer id or email."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Annotated

from flask import Blueprint
from pydantic import Field
from sqlalchemy import select

from portal.api.bodies import QueryString, asks
from portal.api.operators import operator_required
from portal.api.responses import Answer, answers
from portal.customers import access
from portal.errors import InvalidInput, NotFound
from portal.extensions import db
from portal.keys import included
from portal.keys.api import Entitlements, IncludedUse
from portal.models import Customer, StripeCustomer, User

blueprint = Blueprint("customers_api", __name__, url_prefix="/api/v1/customers")


class CustomerFacts(Entitlements):
    """A customer, its account, and what it may use now."""

    email: Annotated[str, Field(examples=["alice@example.com"])]
    email_verified: Annotated[bool, Field(description="Whether the account has verified this email.")]
    name: str
    created_at: datetime
    valid_until: Annotated[
        datetime | None,
        Field(description="When the plan ends: a scheduled cancellation or the end of grace. Null if unknown."),
    ]
    stripe_customer: Annotated[str | None, Field(description="The current id at Stripe.", examples=["cus_Rk2x"])]


class CustomerList(Answer):
    """Customers, oldest first."""

    data: list[CustomerFacts]


class Wanted(QueryString):
    """The email to look for."""

    email: Annotated[str, Field(min_length=3, max_length=254, examples=["alice@example.com"])]


@blueprint.get("/<int:customer_id>")
@operator_required("customers:read")
@answers(CustomerFacts, NotFound)
def one(customer_id: int) -> CustomerFacts:
    """Return the customer with the id from `/v1/receipt` and `/api/v1/entitlements`."""
    customer = db.session.get(Customer, customer_id)
    if customer is None or customer.user.deleted_at is not None:
        raise NotFound("There is no customer with this id.")
    return next(_described([customer]))


@blueprint.get("")
@operator_required("customers:read")
@asks(Wanted)
@answers(CustomerList, InvalidInput)
def by_email(wanted: Wanted) -> CustomerList:
    """List the customers with an email, in both modes.

    Rely on an email only if `email_verified` is true: until then it is only what somebody entered.
    """
    mine = (User.email == wanted.email.strip().lower(), User.deleted_at.is_(None))
    query = select(Customer).join(User, User.id == Customer.user_id).where(*mine).order_by(Customer.id)
    found = db.session.execute(query).scalars().all()
    return CustomerList(data=list(_described(found)))


def _included(customer: Customer) -> dict[str, IncludedUse]:
    kept, _ = included.facts(customer)
    return {name: IncludedUse(**numbers) for name, numbers in included.measured(kept).items()}


def _described(found: Iterable[Customer]) -> Iterator[CustomerFacts]:
    for customer in found:
        mine, user = access.of(customer), customer.user
        current = select(StripeCustomer.stripe_id).filter_by(customer_id=customer.id, is_current=True)
        yield CustomerFacts(
            customer=str(customer.id),
            mode=customer.mode,
            status=mine.status,
            tier=mine.tier,
            entitlements=mine.entitlements,
            included=_included(customer),
            credits=customer.credit_balance,
            cluster=customer.cluster,
            email=user.email,
            email_verified=user.verified_at is not None,
            name=user.name,
            created_at=customer.created_at,
            valid_until=mine.until,
            stripe_customer=db.session.execute(current).scalar_one_or_none(),
        )
