"""Test billing as JSON (seed 5): the same verbs as the page."""

from datetime import datetime
from typing import Annotated, Literal

from flask import Blueprint
from pydantic import Field
from sqlalchemy import select

from portal import audit, calls
from portal.accounts import people as accounts
from portal.admin import people
from portal.admin.guard import admin_required
from portal.answers import Answer, answers
from portal.billing import subscriptions, testing
from portal.billing.testing import Choice
from portal.errors import Conflict, InvalidInput, NotFound, StripeRefused, StripeUnavailable
from portal.extensions import db
from portal.inputs import JsonBody, QueryString, Words, asks, idempotency_key, takes
from portal.models import Customer, Purchase, Subscription, User

blueprint = Blueprint("admin_api", __name__, url_prefix="/api/admin")

NEWEST = 100
Somebody = Annotated[
    Words, Field(min_length=1, description="A user's mail address or id.", examples=["bob@example.com"])
]


class WhoseTests(QueryString):
    """Whose test data."""

    user: Somebody


class TestWanted(JsonBody):
    """What is bought, for whom, and how the card behaves."""

    user: Somebody
    kind: Literal["plan", "credits", "usage"]
    item: Annotated[
        Words, Field(description="A price's or package's key; for usage anything.", examples=["pro-monthly"])
    ] = "usage"
    card: Literal["success", "decline", "requires_auth", "fails_later"] = "success"


class TestSubscription(Answer):
    """A subscription in test mode."""

    id: str
    status: str
    tier: str | None
    current_period_end: datetime | None


class TestPurchase(Answer):
    """An order in test mode, and where it stands."""

    number: Annotated[str, Field(examples=["PO-7F3K9QXM2C"])]
    kind: str
    item: str
    amount: Annotated[int, Field(description="In minor units of `currency`.")]
    currency: str
    state: Literal["open", "paid", "failed", "expired"]
    payment_intent: str | None
    subscription: str | None
    created_at: datetime


class TestData(Answer):
    """What a user has in test mode."""

    credits: int
    subscriptions: list[TestSubscription]
    purchases: list[TestPurchase]


@blueprint.get("/billing-test")
@admin_required
@asks(WhoseTests)
@answers(TestData)
def test_data(query: WhoseTests) -> TestData:
    """What a user has in test mode. For admins alone."""
    user = _user(query.user)
    customer = db.session.execute(select(Customer).filter_by(user_id=user.id, mode="test")).scalar_one_or_none()
    if customer is None:
        return TestData(credits=0, subscriptions=[], purchases=[])
    bought = select(Purchase).filter_by(customer_id=customer.id).order_by(Purchase.id.desc()).limit(NEWEST)
    return TestData(
        credits=customer.credit_balance,
        subscriptions=[_subscription(one) for one in subscriptions.of_customer(customer.id, ended=True)],
        purchases=[_purchase(one) for one in db.session.execute(bought).scalars()],
    )


@blueprint.post("/billing-test")
@admin_required
@takes(TestWanted)
@calls.reads("Idempotency-Key", "Your own name of this purchase: sent again, it gives the same order.")
@answers(TestPurchase, Conflict, StripeRefused, StripeUnavailable)
def buy(body: TestWanted) -> TestPurchase:
    """Create a test purchase, paid off session. Nothing live is touched, and nobody is charged."""
    user = _user(body.user)
    db.session.commit()
    purchase = testing.buy(user, Choice(body.kind, body.item, body.card, nonce=idempotency_key()))
    audit.record(
        "test_purchase.made", customer_id=purchase.customer_id, subject=purchase.number, after={"card": body.card}
    )
    db.session.commit()
    return _purchase(purchase)


def _user(word: str) -> User:
    """By id or mail. Raises InvalidInput."""
    try:
        found = people.still_here(int(word)) if word.isascii() and word.isdigit() else accounts.find(word)
    except (NotFound, OverflowError):
        found = None
    if found is None:
        raise InvalidInput("There is no such user.", errors={"user": "unknown"})
    return found


def _subscription(one: Subscription) -> TestSubscription:
    return TestSubscription(
        id=one.stripe_id, status=one.status, tier=one.tier, current_period_end=one.current_period_end
    )


def _purchase(one: Purchase) -> TestPurchase:
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
