"""Test billing as JSON: the same functions as the admin page."""

from datetime import datetime
from typing import Annotated, Literal

from flask import Blueprint
from pydantic import Field
from sqlalchemy import select

from portal import audit
from portal.accounts import users as accounts
from portal.admin import find_users
from portal.admin.permissions import admin_required
from portal.admin.test_billing import orders
from portal.admin.test_billing.orders import Choice
from portal.api import calls
from portal.api.bodies import JsonBody, QueryString, Words, asks, idempotency_key, takes
from portal.api.responses import Answer, answers
from portal.billing import subscriptions
from portal.catalogue import packages
from portal.enums import Mode
from portal.errors import Conflict, InvalidInput, NotFound, StripeRefused, StripeUnavailable
from portal.extensions import db
from portal.models import Customer, Order, Subscription, User

blueprint = Blueprint("admin_api", __name__, url_prefix="/api/admin")

NEWEST = 100
Somebody = Annotated[
    Words, Field(min_length=1, description="A user's mail address or id.", examples=["bob@example.com"])
]


class WhoseTests(QueryString):
    """The user of the test data."""

    user: Somebody


class TestWanted(JsonBody):
    """The item to buy, the user, and how the card behaves."""

    user: Somebody
    kind: Literal["plan", "credits", "usage"]
    item: Annotated[
        int | Words,
        Field(
            description="A plan's or price's key or a price id of Stripe; a package's id or key, or `custom`; for"
            " usage anything.",
            examples=["pro-monthly"],
        ),
    ] = "usage"
    amount: Annotated[int | float | None, Field(description="In dollars, with `custom`.", examples=[25])] = None
    card: Literal["success", "decline", "requires_auth", "fails_later"] = "success"


class TestSubscription(Answer):
    """A subscription in test mode."""

    id: str
    status: str
    tier: str | None
    current_period_end: datetime | None


class TestPurchase(Answer):
    """An order in test mode, and its state."""

    number: Annotated[str, Field(examples=["PO-7F3K9QXM2C"])]
    kind: str
    item: str
    amount: Annotated[int, Field(description="In minor units of `currency`.")]
    currency: str
    state: Literal["open", "paid", "failed", "expired", "unclear"]
    payment_intent: str | None
    subscription: str | None
    created_at: datetime


class TestData(Answer):
    """A user's objects in test mode."""

    credits: int
    subscriptions: list[TestSubscription]
    purchases: list[TestPurchase]


@blueprint.get("/billing-test")
@admin_required
@asks(WhoseTests)
@answers(TestData)
def test_data(query: WhoseTests) -> TestData:
    """Return a user's objects in test mode. Only for admins."""
    user = _user(query.user)
    customer = db.session.execute(select(Customer).filter_by(user_id=user.id, mode=Mode.TEST)).scalar_one_or_none()
    if customer is None:
        return TestData(credits=0, subscriptions=[], purchases=[])
    bought = select(Order).filter_by(customer_id=customer.id).order_by(Order.id.desc()).limit(NEWEST)
    return TestData(
        credits=customer.credit_balance,
        subscriptions=[_subscription(one) for one in subscriptions.of_customer(customer.id, ended=True)],
        purchases=[_order(one) for one in db.session.execute(bought).scalars()],
    )


@blueprint.post("/billing-test")
@admin_required
@takes(TestWanted)
@calls.reads("Idempotency-Key", "Your own unique id of this purchase; repeating it returns the same order.")
@answers(TestPurchase, Conflict, StripeRefused, StripeUnavailable)
def buy(body: TestWanted) -> TestPurchase:
    """Create a test purchase, paid off-session. Live data is untouched, and nobody is charged."""
    user = _user(body.user)
    db.session.commit()
    amount = None if body.amount is None else packages.minor_units(body.amount)
    choice = Choice(body.kind, str(body.item), body.card, amount=amount, nonce=idempotency_key())
    order = orders.buy(user, choice)
    audit.record(
        "test_purchase.made", customer_id=order.customer_id, subject=order.number, after={"card": body.card}
    )
    db.session.commit()
    return _order(order)


def _user(word: str) -> User:
    """Return the user by id or email. Raises InvalidInput."""
    try:
        found = find_users.still_here(int(word)) if word.isascii() and word.isdigit() else accounts.find(word)
    except (NotFound, OverflowError):
        found = None
    if found is None:
        raise InvalidInput("There is no such user.", errors={"user": "unknown"})
    return found


def _subscription(one: Subscription) -> TestSubscription:
    return TestSubscription(
        id=one.stripe_id, status=one.status, tier=one.tier, current_period_end=one.current_period_end
    )


def _order(one: Order) -> TestPurchase:
    return TestPurchase.model_validate(
        {
            "number": one.number,
            "kind": one.kind,
            "item": one.item,
            "amount": one.amount,
            "currency": one.currency,
            "state": one.state,
            "payment_intent": one.payment_intent,
            "subscription": one.subscription_id,
            "created_at": one.created_at,
        }
    )
