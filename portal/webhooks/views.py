"""Where Stripe knocks: two lanes, one body."""

import structlog
from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from portal import clock, gateway
from portal.errors import PortalError
from portal.settings import current_settings
from portal.webhooks import inbox

log = structlog.get_logger()
blueprint = Blueprint("webhooks", __name__)

MAX_BODY = 1024 * 1024
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


def live() -> ResponseReturnValue:
    """The live lane."""
    return _receive("live")


def test() -> ResponseReturnValue:
    """The test lane."""
    return _receive("test")


def _receive(mode: str) -> ResponseReturnValue:
    request.max_content_length = MAX_BODY  # beyond it: 413
    body = request.get_data()
    _verify(mode, body)
    status = inbox.receive(mode, body)
    return jsonify(success=True, received=True, status=status)


def _verify(mode: str, body: bytes) -> None:
    settings = current_settings()
    secrets = settings.webhook_secrets(mode)
    if not secrets and settings.allow_unverified_stripe:
        log.warning("stripe_webhook_unverified", mode=mode)
        return
    if not secrets:
        log.error("stripe_webhook_secret_missing", setting=SECRET_NAMES[mode])
        raise NoSecret("This endpoint has no webhook secret yet; the operator's log names the setting.")
    try:
        gateway.verify(body, request.headers.get("Stripe-Signature", ""), secrets, clock.now())
    except gateway.BadSignature as error:
        log.warning("stripe_webhook_invalid_signature", mode=mode, reason=str(error))
        raise BadDelivery("The signature does not fit the body, the endpoint's secret or the time.") from None


for path in LIVE_PATHS:
    blueprint.add_url_rule(path, "live", live, methods=["POST"])
blueprint.add_url_rule(TEST_PATH, "test", test, methods=["POST"])
