"""Webhook endpoints: those of the configuration, and the connection to one, with signed deliveries."""

import hashlib
import hmac
import http.client
import time
from urllib.parse import urlsplit

from portal.sandbox.account import Account
from portal.sandbox.config import Endpoint
from portal.sandbox.webhooks.events import API_VERSION

TIMEOUT = 20.0  # seconds until an endpoint times out


def signature(payload: bytes, secret: str, moment: int) -> str:
    """Return the Stripe-Signature header for a body sent at a time (seconds since 1970)."""
    signed = hmac.new(secret.encode(), f"{moment}.".encode() + payload, hashlib.sha256).hexdigest()
    return f"t={moment},v1={signed}"


def configured(account: Account, endpoint: Endpoint) -> None:
    """Create or update the webhook endpoint from the configuration."""
    known = next(
        (e for e in account.store.select(endpoint.mode, "webhook_endpoint") if e["_"].get("configured")), None
    )
    fields = {"url": endpoint.url, "_": {"secret": endpoint.secret, "configured": True}}
    if known:
        account.change(known, fields)
        return
    more = {"enabled_events": ["*"], "status": "enabled", "metadata": {}, "api_version": API_VERSION}
    account.add("webhook_endpoint", fields | more)


class Connection:
    """The connection to an endpoint, opened by the first delivery and kept for the next ones."""

    def __init__(self, url: str, secret: str) -> None:
        self.url, self.secret = url, secret
        parts = urlsplit(url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self.connection = kind(parts.netloc, timeout=TIMEOUT)
        self.path = parts._replace(scheme="", netloc="").geturl() or "/"

    def send(self, payload: bytes) -> int:
        """Deliver once and return the response's status, 0 for none. Raises ConnectionRefusedError."""
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
            "Stripe-Signature": signature(payload, self.secret, int(time.time())),
        }
        try:
            self.connection.request("POST", self.path, payload, headers)
            with self.connection.getresponse() as answer:
                answer.read()
                return answer.status
        except ConnectionRefusedError:
            raise
        except (OSError, http.client.HTTPException):
            self.close()
            return 0

    def close(self) -> None:
        """Close the connection; another delivery would open it again."""
        self.connection.close()
