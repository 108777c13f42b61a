"""The request's key: its account, its mode, and what a restricted key permits."""

import json
import re
import secrets
from collections.abc import Iterable

from flask import current_app, request

from portal.sandbox.account import Account
from portal.sandbox.api.errors import StripeError
from portal.sandbox.config import NAMED_KEY, Config, Mode, account_in
from portal.sandbox.tenants import Tenant, Tenants

LEVELS = ("none", "read", "write")
SPACES = (
    "billing",
    "billing_portal",
    "checkout",
    "radar",
    "test_helpers",
)  # a resource's name has a second part


def tenants() -> Tenants:
    """Return the running sandbox's accounts."""
    kept: Tenants = current_app.extensions["tenants"]
    return kept


def sent_key() -> str:
    """Return the key of the request, or an empty text."""
    credentials = request.authorization
    return (credentials.token or credentials.username or "" if credentials else "").strip()


def caller() -> tuple[Tenant, Mode]:
    """Return the account and the mode of the request's key. Raises StripeError (401)."""
    key = sent_key()
    if not key:
        words = "You did not provide an API key. You need to provide your API key in the Authorization header, "
        raise StripeError(words + "using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').", status=401)
    mode = mode_of(key, tenants().config)
    if mode is None:
        raise StripeError(f"Invalid API Key provided: {masked(key)}", status=401)
    return tenants().of(account_in(key)), mode


def mode_of(key: str, config: Config) -> Mode | None:
    """Return a key's mode; None for an unknown key. Every key that names an account is known."""
    if named := NAMED_KEY.fullmatch(key):
        return "live" if named[1] == "live" else "test"
    if secrets.compare_digest(key.encode(), config.live_key.encode()):
        return "live"
    is_open = config.open_test_keys and re.fullmatch(r"[rs]k_test_\w{4,}", key)
    return "test" if is_open or secrets.compare_digest(key.encode(), config.test_key.encode()) else None


def masked(key: str) -> str:
    """Return a key as an error message shows it."""
    return f"{key[:8]}{'*' * max(3, min(len(key) - 12, 20))}{key[-4:]}" if len(key) > 12 else "***"


def resource_of(operation: str) -> str:
    """Return the resource that an operation such as GET /v1/checkout/sessions needs permission for:
    checkout_session.
    """
    first, *others = operation.partition("/v1/")[2].split("/")
    words = f"{first}_{others[0]}" if first in SPACES and others else first
    return words.removesuffix("s").removeprefix("test_helpers_")


def check_permission(tenant: Tenant, operation: str) -> None:
    """Raise StripeError (403) if the permissions of a restricted key don't include the operation."""
    key = sent_key()
    if not key.startswith("rk_"):
        return
    found = tenant.store.rows("SELECT permissions FROM restricted_keys WHERE key = ?", key)
    if not found:
        return
    needed, resource = "read" if operation.startswith("GET ") else "write", resource_of(operation)
    if LEVELS.index(json.loads(found[0][0]).get(resource, "none")) >= LEVELS.index(needed):
        return
    at = tenant.store.account_id
    words = (
        f"The provided key '{masked(key)}' does not have the required permissions for this endpoint on account "
        f"'{at}'. Having the 'rak_{resource}_{needed}' permission would allow this request to continue."
    )
    raise StripeError(words, status=403)


def restrict(account: Account, key: str, permissions: dict[str, str], operations: Iterable[str]) -> None:
    """Set all permissions of a restricted key. Raises ValueError for an unknown resource or level."""
    if not key.startswith("rk_"):
        raise ValueError("only a restricted key (rk_…) has permissions")
    known = {resource_of(name) for name in operations}
    if unknown := sorted(permissions.keys() - known):
        raise ValueError(f"unknown: {', '.join(unknown)}; known: {', '.join(sorted(known))}")
    if set(permissions.values()) - set(LEVELS):
        raise ValueError(f"a permission is one of {', '.join(LEVELS)}")
    with account.store.transaction():
        account.store.db.execute(
            "INSERT OR REPLACE INTO restricted_keys VALUES (?, ?)", (key, json.dumps(permissions))
        )
