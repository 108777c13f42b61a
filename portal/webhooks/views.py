"""The webhook endpoints of both lanes."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

import structlog
from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, ConfigDict, Field

from portal import clock, gateway, instruments
from portal.api import calls
from portal.api.responses import Answer, answers
from portal.enums import Mode
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
SECRET_NAMES = {Mode.LIVE: "STRIPE_WEBHOOK_SECRET", Mode.TEST: "STRIPE_TEST_WEBHOOK_SECRET"}


class BadDelivery(PortalError):
    """A delivery without a valid signature. Nothing of it is stored."""

    code = "bad_signature"
    title = "This delivery could not be verified"


class NoSecret(PortalError):
    """This lane cannot verify signatures, so it refuses deliveries."""

    status = 503
    code = "no_webhook_secret"
    title = "This endpoint is not set up"


class Delivery(BaseModel):
    """A Stripe event. Its facts are fetched from Stripe, so few fields are read."""

    model_config = ConfigDict(extra="allow")

    id: Annotated[str, Field(examples=["evt_1SGaX7Lc"])]
    object: Literal["event"]
    type: Annotated[str, Field(examples=["invoice.paid"])]
    livemode: bool
    created: int
    data: dict[str, Any]


class Received(Answer):
    """The outcome of a delivery."""

    success: Literal[True] = True
    received: Literal[True] = True
    status: Literal["processed", "duplicate", "ignored", "parked", "received"]


def signed(view: Callable[[], Received]) -> Callable[[], ResponseReturnValue]:
    """Make a view a lane's endpoint, authenticated by Stripe's signature."""
    answering = answers(Received, BadDelivery, InvalidInput, 413, NoSecret, inbox.HandlingFailed)(view)
    calls.note(answering, by=("signature",), body=Delivery)
    return answering


@signed
def live() -> Received:
    """Receive Stripe's live mode events. Any status but 200 makes Stripe deliver again."""
    return _receive(Mode.LIVE)


@signed
def test() -> Received:
    """Receive Stripe's test mode events. Any status but 200 makes Stripe deliver again."""
    return _receive(Mode.TEST)


def _receive(mode: Mode) -> Received:
    body = request.get_data()
    verified = _verify(mode, body)
    status = inbox.receive(mode, body, verified=verified)
    if status == "duplicate":
        instruments.REPEATED.labels("webhook").inc()
    return Received(status=status)


def _verify(mode: Mode, body: bytes) -> bool:
    """Return whether the signature proves the delivery; False only if ALLOW_UNVERIFIED_STRIPE accepts it anyway.

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
