"""Where Stripe knocks: two lanes, one body."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

import structlog
from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, ConfigDict, Field

from portal import calls, clock, gateway
from portal.answers import Answer, answers
from portal.errors import InvalidInput, PortalError
from portal.settings import current_settings
from portal.webhooks import inbox

log = structlog.get_logger()
blueprint = Blueprint("webhooks", __name__)

LIVE_PATHS = (
    "/api/webhooks/stripe",
    "/stripe/webhook",
    "/api/v1/billing/webhooks/stripe",
    "/api/credits/webhook",
    "/api/billing/stripe/webhook",
)
TEST_PATH = "/api/webhooks/stripe-test"
SECRET_NAMES = {"live": "STRIPE_WEBHOOK_SECRET", "test": "STRIPE_TEST_WEBHOOK_SECRET"}


class BadDelivery(PortalError):
    """A delivery that proves nothing; nothing of it is stored."""

    code = "bad_signature"
    title = "This delivery could not be verified"


class NoSecret(PortalError):
    """This lane cannot check signatures, so it takes nothing."""

    status = 503
    code = "no_webhook_secret"
    title = "This endpoint is not set up"


class Delivery(BaseModel):
    """An event of Stripe's; its facts are fetched anew, so that little of it is read."""

    model_config = ConfigDict(extra="allow")

    id: Annotated[str, Field(examples=["evt_1SGaX7Lc"])]
    object: Literal["event"]
    type: Annotated[str, Field(examples=["invoice.paid"])]
    livemode: bool
    created: int
    data: dict[str, Any]


class Received(Answer):
    """What became of a delivery."""

    success: Literal[True] = True
    received: Literal[True] = True
    status: Literal["processed", "duplicate", "ignored", "parked"]


def signed(view: Callable[[], Received]) -> Callable[[], ResponseReturnValue]:
    """A lane: Stripe's signature proves who calls."""
    answering = answers(Received, BadDelivery, InvalidInput, 413, NoSecret, inbox.HandlingFailed)(view)
    calls.note(answering, by=("signature",), body=Delivery)
    return answering


@signed
def live() -> Received:
    """Deliveries of Stripe's, live mode. Anything but 200 makes Stripe deliver again."""
    return _receive("live")


@signed
def test() -> Received:
    """Deliveries of Stripe's, test mode. Anything but 200 makes Stripe deliver again."""
    return _receive("test")


def _receive(mode: str) -> Received:
    body = request.get_data()
    verified = _verify(mode, body)
    return Received(status=inbox.receive(mode, body, verified=verified))


def _verify(mode: str, body: bytes) -> bool:
    """Return whether the signature proves the delivery; false only where ALLOW_UNVERIFIED_STRIPE takes any.

    Raises NoSecret, BadDelivery.
    """
    settings = current_settings()
    secrets = settings.webhook_secrets(mode)
    if not secrets and settings.allow_unverified_stripe:
        log.warning("stripe_webhook_unverified", mode=mode)
        return False
    if not secrets:
        log.error("stripe_webhook_secret_missing", setting=SECRET_NAMES[mode])
        raise NoSecret("This endpoint has no webhook secret yet; the operator's log names the setting.")
    try:
        gateway.verify(body, request.headers.get("Stripe-Signature", ""), secrets, clock.now())
    except gateway.BadSignature as error:
        log.warning("stripe_webhook_invalid_signature", mode=mode, reason=str(error))
        raise BadDelivery("The signature does not fit the body, the endpoint's secret or the time.") from None
    return True


for path in LIVE_PATHS:
    blueprint.add_url_rule(path, "live", live, methods=["POST"])
blueprint.add_url_rule(TEST_PATH, "test", test, methods=["POST"])
