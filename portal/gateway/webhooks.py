"""Webhooks: endpoints, events, and the signature of a delivery."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

import stripe

from portal.gateway.calls import PAGE, Calls, part

TOLERANCE_SECONDS = 300


TIMESTAMP = re.compile(r"(?:^|,)t=(\d{1,12})(?:,|$)")


class BadSignature(Exception):
    """The signature of a delivery is invalid. The message says why and contains no part of the signature."""


def verify(body: bytes, header: str, secrets: tuple[str, ...], now: datetime) -> None:
    """Check a delivery against each secret (two during a rotation). Raises BadSignature.

    Stripe's verifier checks only past times, so a time more than 300 s in the future is refused here.
    """
    found = TIMESTAMP.search(header) if header.isascii() else None
    if found is None:
        raise BadSignature("no timestamp in the Stripe-Signature header")
    if int(found[1]) > now.timestamp() + TOLERANCE_SECONDS:
        raise BadSignature("the timestamp lies in the future")
    reasons = []
    for secret in secrets:
        try:
            stripe.WebhookSignature.verify_header(body, header, secret, TOLERANCE_SECONDS)
        except stripe.SignatureVerificationError as error:
            reasons.append("too old" if "tolerance" in str(error) else "no matching signature")
        except UnicodeDecodeError:
            raise BadSignature("the body is not UTF-8") from None
        else:
            return
    raise BadSignature(max(reasons, default="no secret"))


def sign(body: bytes, secret: str, now: datetime) -> str:
    """Return the signature header that Stripe would send with this body."""
    header = stripe.WebhookSignature.generate_signature_header(body.decode(), secret, int(now.timestamp()))
    return str(header)


@dataclass(frozen=True)
class WebhookEndpoint:
    """An endpoint and its event types. Only the response that creates it contains the signing secret."""

    id: str
    url: str
    is_enabled: bool
    events: frozenset[str]  # types; "*" is every type
    api_version: str | None  # None: the account's default
    secret: str | None = field(repr=False)

    @classmethod
    def read(cls, data: dict[str, Any]) -> Self:
        """Read an object from /v1/webhook_endpoints."""
        is_enabled = data["status"] == "enabled"
        events, version = frozenset(data["enabled_events"]), data.get("api_version")
        return cls(data["id"], data["url"], is_enabled, events, version, data.get("secret"))

    @property
    def is_our_version(self) -> bool:
        """Return whether its events have the shape of the API version that the SDK pins."""
        return self.api_version == stripe.api_version


class WebhookCalls(Calls):
    """The calls for webhooks."""

    def webhook_endpoints(self) -> Iterator[WebhookEndpoint]:
        """Yield all endpoints of the account in this mode, newest first."""
        listed = self._list("/v1/webhook_endpoints", {"limit": PAGE})
        return (WebhookEndpoint.read(data) for data in listed)

    def create_webhook_endpoint(self, url: str, events: list[str], idempotency_key: str) -> WebhookEndpoint:
        """Create an endpoint for these event types, in the API version that the SDK pins."""
        params = {"url": url, "enabled_events": events, "api_version": stripe.api_version}
        return WebhookEndpoint.read(self._ask("post", "/v1/webhook_endpoints", params, idempotency_key))

    def set_webhook_events(self, endpoint_id: str, events: list[str]) -> WebhookEndpoint:
        """Replace the event types of an endpoint."""
        path = f"/v1/webhook_endpoints/{part(endpoint_id)}"
        return WebhookEndpoint.read(self._ask("post", path, {"enabled_events": events}))

    def events(self, **params: Any) -> Iterator[dict[str, Any]]:
        """Yield the account's events, newest first, as parsed JSON. Stripe keeps them for 30 days."""
        return self._list("/v1/events", {**params, "limit": PAGE})
