"""Sending our own test endpoint a signed event, as Stripe would, and showing the response."""

import secrets
from dataclasses import dataclass

import orjson
from flask import current_app, url_for
from sqlalchemy import select

from portal import clock, gateway
from portal.enums import Mode
from portal.errors import InvalidInput
from portal.extensions import db
from portal.models import Customer, Invoice, Order, StripeCustomer, Subscription
from portal.settings import current_settings
from portal.webhooks.handlers import HANDLERS

# The beginning of an event's type, and the object it is about: Stripe's name for it, and the newest one's id.
KINDS = sorted(HANDLERS)
NOBODY_S = "test_event_of_nobody"


@dataclass(frozen=True)
class Answer:
    """The response of our endpoint: an HTTP status and its JSON."""

    event_id: str
    type: str
    object_id: str
    status: int
    body: str


def send(customer: Customer, kind: str) -> Answer:
    """Deliver an event of this type about the customer's newest matching object. Commits.

    Raises InvalidInput for a type without a handler, and if the test lane has no webhook secret.
    """
    if kind not in HANDLERS:
        raise InvalidInput("Choose one of the events.", errors={"type": "nobody handles it"})
    secrets_of_lane = current_settings().webhook_secrets(Mode.TEST)
    if not secrets_of_lane:
        words = "STRIPE_TEST_WEBHOOK_SECRET is not set, so nothing can be signed."
        raise InvalidInput(words, errors={"type": words})
    noun, object_id = _about(customer, kind)
    event = _event(kind, noun, object_id, _name(customer))
    db.session.commit()
    body = orjson.dumps(event)
    headers = {"Stripe-Signature": gateway.sign(body, secrets_of_lane[0], clock.now())}
    answer = current_app.test_client().post(
        url_for("webhooks.test"), data=body, headers=headers, content_type="application/json"
    )
    return Answer(str(event["id"]), kind, object_id, answer.status_code, answer.get_data(as_text=True).strip())


def _event(kind: str, noun: str, object_id: str, customer: str | None) -> dict[str, object]:
    thing = {"id": object_id, "object": noun, "customer": customer, "metadata": {"portal_mode": "test"}}
    return {
        "id": f"evt_{secrets.token_hex(12)}",
        "object": "event",
        "type": kind,
        "created": int(clock.now().timestamp()),
        "livemode": False,
        "data": {"object": thing},
    }


def _about(customer: Customer, kind: str) -> tuple[str, str]:
    """Return the object type of an event, and the id of the customer's newest; a made-up id if there is none."""
    noun = kind.rpartition(".")[0]
    columns = {
        "checkout.session": Order.session_id,
        "customer.subscription": Subscription.stripe_id,
        "invoice": Invoice.stripe_id,
        "payment_intent": Order.payment_intent,
    }
    if noun == "customer":
        return noun, _name(customer) or NOBODY_S
    column = columns.get(noun)
    if column is None:
        return noun, NOBODY_S
    model = column.class_
    query = select(column).where(model.customer_id == customer.id, column.is_not(None)).order_by(model.id.desc())
    return noun.replace("customer.", ""), db.session.execute(query.limit(1)).scalar_one_or_none() or NOBODY_S


def _name(customer: Customer) -> str | None:
    query = select(StripeCustomer.stripe_id).filter_by(customer_id=customer.id, is_current=True)
    return db.session.execute(query).scalar_one_or_none()
