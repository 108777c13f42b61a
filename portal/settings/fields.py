"""The declaration of a setting: the message for an invalid value, examples, and computed defaults."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable
from typing import Any

from pydantic import Field

from portal.settings import values

DEFAULT_SECRET = "change-me: known to everyone, so for development alone"  # noqa: S105
# Valid, but refused in production, because everyone knows them.
EXAMPLE_SECRET = "3b0e64d1f25c97a8" * 4
EXAMPLE_KEY = "GJ7t4mGKJQ0S6nJq3mXn1y3wqXo0V5yG7h1zj0v3k1A="
STRIPE_API = "https://api.stripe.com"
STRIPE_DASHBOARD = "https://dashboard.stripe.com"
STRIPE_PAGES = (
    "https://checkout.stripe.com",
    "https://billing.stripe.com",
    "https://buy.stripe.com",
    "https://invoice.stripe.com",  # a plan change may redirect to the page that confirms its payment
)


def setting(
    does: str,
    default: Any,
    shape: str,
    example: str,
    *aliases: str,
    secret: bool = False,
    in_production: str | Callable[[], str] | None = None,
) -> Any:
    """Declare a field read from the variable of its name; `default` may be a function of the fields above it.

    `does` is its line in docs/settings.md. `shape` and `example` appear in the message for an invalid value;
    `in_production` is a different example for production. A secret is omitted from repr().
    """
    words: dict[str, Any] = {"does": does, "shape": shape, "example": example, "aliases": list(aliases)}
    words["in_production"] = in_production or example
    known: dict[str, Any] = {"default_factory": default} if callable(default) else {"default": default}
    return Field(repr=not secret, json_schema_extra=words, **known)


def random_secret() -> str:
    """Return a random secret, for the example of one in production."""
    return secrets.token_hex(32)


def random_fernet_key() -> str:
    """Return a random Fernet key."""
    return base64.urlsafe_b64encode(secrets.token_bytes(values.FERNET_BYTES)).decode()


def derived_secret(data: dict[str, Any]) -> str:
    """Derive a separate key for tokens from the one secret given; neither reveals the other."""
    return hmac.new(data["secret_key"].encode(), b"access tokens", hashlib.sha256).hexdigest()


def api_base(data: dict[str, Any]) -> str:
    """Return the URL of Stripe's API."""
    return f"http://127.0.0.1:{data['sandbox_port']}" if data["uses_sandbox"] else STRIPE_API


def database(data: dict[str, Any]) -> str:
    """Return SQLite in the instance. The sandbox has its own database, because real Stripe has none of its
    objects.
    """
    return f"sqlite:///{data['instance_path']}/{'demo' if data['uses_sandbox'] else 'portal'}.db"


def pages(data: dict[str, Any]) -> tuple[str, ...]:
    """Return the origins of Stripe's hosted pages. Those of the sandbox have another host name than the portal."""
    return (f"http://localhost:{data['sandbox_port']}",) if data["uses_sandbox"] else STRIPE_PAGES
