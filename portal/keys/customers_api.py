"""Customers, for the operator's own services: facts by customer id or email."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Annotated

from flask import Blueprint
from pydantic import Field
from sqlalchemy import select

from portal import access
from portal.answers import Answer, answers
from portal.errors import InvalidInput, NotFound
from portal.extensions import db
from portal.inputs import QueryString, asks
from portal.keys.api import Entitlements
from portal.models import Customer, StripeCustomer, User
from portal.operators import operator_required

blueprint = Blueprint("customers_api", __name__, url_prefix="/api/v1/customers")


class CustomerFacts(Entitlements):
    """A customer, whose account it is, and what it may use now."""

    email: Annotated[str, Field(examples=["alice@example.com"])]
    email_verified: Annotated[
        bool, Field(description="Whether the account has proven that this email is its own.")
    ]
    name: str
    created_at: datetime
    valid_until: Annotated[
        datetime | None,
        Field(description="When the plan ends: a scheduled cancellation or the end of grace. Null: not known to."),
    ]
    stripe_customer: Annotated[str | None, Field(description="The current id at Stripe.", examples=["cus_Rk2x"])]


class CustomerList(Answer):
    """Customers, oldest first."""

    data: list[CustomerFacts]


class Wanted(QueryString):
    """Whose."""

    email: Annotated[str, Field(min_length=3, max_length=254, examples=["alice@example.com"])]


@blueprint.get("/<int:customer_id>")
@operator_required("customers:read")
@answers(CustomerFacts, NotFound)
def one(customer_id: int) -> CustomerFacts:
    """Get a customer by the id that `/v1/receipt` and `/api/v1/entitlements` give."""
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

    Rely on an email only where `email_verified` is true: until then it is what somebody typed.
    """
    mine = (User.email == wanted.email.strip().lower(), User.deleted_at.is_(None))
    query = select(Customer).join(User, User.id == Customer.user_id).where(*mine).order_by(Customer.id)
    found = db.session.execute(query).scalars().all()
    return CustomerList(data=list(_described(found)))


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
            credits=customer.credit_balance,
            email=user.email,
            email_verified=user.verified_at is not None,
            name=user.name,
            created_at=customer.created_at,
            valid_until=mine.until,
            stripe_customer=db.session.execute(current).scalar_one_or_none(),
        )
