"""What a product's servers ask with a customer's API key."""

from flask import Blueprint, g
from flask.typing import ResponseReturnValue

from portal import callers
from portal.callers import Caller, api_key_required
from portal.extensions import limiter
from portal.keys import entitlements
from portal.pages import rfc3339

blueprint = Blueprint("keys_api", __name__)

PER_KEY = "3000/minute"  # asked on every request of a product


@blueprint.get("/v1/receipt")
@api_key_required
@limiter.limit(PER_KEY, key_func=callers.key)
def receipt() -> ResponseReturnValue:
    """Whose key this is, in which mode, and what it may use (seed 1)."""
    caller: Caller = g.caller
    return {
        **entitlements.of(caller),
        "key": {
            "prefix": caller.prefix,
            "name": caller.name,
            "last_used_at": rfc3339(caller.last_used_at),
            "expires_at": rfc3339(caller.expires_at),
        },
    }


@blueprint.get("/api/v1/entitlements")
@api_key_required
@limiter.limit(PER_KEY, key_func=callers.key)
def current() -> ResponseReturnValue:
    """The same facts without the key's own (seeds 1 and 2)."""
    return entitlements.of(g.caller)
