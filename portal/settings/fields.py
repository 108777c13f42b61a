"""How a setting is declared: the words that refuse a bad value, its examples, and defaults that are computed."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable
from typing import Any

from pydantic import Field

from portal.settings import values

DEFAULT_SECRET = "change-me: known to everyone, so for development alone"  # noqa: S105
# Right in form and refused in production, where they would be known to everyone.
EXAMPLE_SECRET = "3b0e64d1f25c97a8" * 4
EXAMPLE_KEY = "GJ7t4mGKJQ0S6nJq3mXn1y3wqXo0V5yG7h1zj0v3k1A="
STRIPE_API = "https://api.stripe.com"
STRIPE_DASHBOARD = "https://dashboard.stripe.com"
STRIPE_PAGES = (
    "https://checkout.stripe.com",
    "https://billing.stripe.com",
    "https://buy.stripe.com",
    "https://invoice.stripe.com",  # a change of plan may lead on to where its payment is confirmed
)


def setting(
    default: Any,
    shape: str,
    example: str,
    *aliases: str,
    secret: bool = False,
    in_production: str | Callable[[], str] | None = None,
) -> Any:
    """A field read from the variable of its name; `default` may be a function of the fields above it.

    `shape` and `example` stand in the line that refuses a bad value; `in_production` is the example there, where
    it differs. A secret is left out of repr().
    """
    words: dict[str, Any] = {"shape": shape, "example": example, "aliases": list(aliases)}
    words["in_production"] = in_production or example
    known: dict[str, Any] = {"default_factory": default} if callable(default) else {"default": default}
    return Field(repr=not secret, json_schema_extra=words, **known)


def random_secret() -> str:
    """Return a secret that nobody else has been shown: the example of one in production."""
    return secrets.token_hex(32)


def random_fernet_key() -> str:
    """Return a Fernet key that nobody else has been shown."""
    return base64.urlsafe_b64encode(secrets.token_bytes(values.FERNET_BYTES)).decode()


def price_id(interval: str = "") -> Any:
    """The Stripe id of a price of the catalogue."""
    return setting(None, f"the id of a{interval} Stripe price", "price_1SGaX7LcPYf7t6osBWkbJgXG")


def derived_secret(data: dict[str, Any]) -> str:
    """A key of its own for tokens, where only one secret is given: neither tells the other."""
    return hmac.new(data["secret_key"].encode(), b"access tokens", hashlib.sha256).hexdigest()


def api_base(data: dict[str, Any]) -> str:
    """Where Stripe's API answers."""
    return f"http://127.0.0.1:{data['sandbox_port']}" if data["uses_sandbox"] else STRIPE_API


def database(data: dict[str, Any]) -> str:
    """SQLite in the instance; what was bought in the sandbox stays apart, for real Stripe knows none of it."""
    return f"sqlite:///{data['instance_path']}/{'demo' if data['uses_sandbox'] else 'portal'}.db"


def pages(data: dict[str, Any]) -> tuple[str, ...]:
    """The origins of Stripe's hosted pages; the sandbox's have another host name than the portal."""
    return (f"http://localhost:{data['sandbox_port']}",) if data["uses_sandbox"] else STRIPE_PAGES
