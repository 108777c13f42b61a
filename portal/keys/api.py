"""What a product's servers ask with a customer's API key."""

from flask import Blueprint, g
from flask.typing import ResponseReturnValue

from portal import access
from portal.access import api_key_required
from portal.models import ApiKey
from portal.pages import rfc3339

blueprint = Blueprint("keys_api", __name__)


@blueprint.get("/v1/receipt")
@api_key_required
def receipt() -> ResponseReturnValue:
    """Whose key this is, in which mode, and what it may use (seed 1)."""
    key: ApiKey = g.api_key
    mine = access.of(key.customer)
    return {
        "customer": str(key.customer_id),
        "mode": key.customer.mode,
        "status": mine.status,
        "tier": mine.tier,
        "entitlements": mine.entitlements,
        "credits": key.customer.credit_balance,
        "key": {
            "prefix": key.prefix,
            "name": key.name,
            "last_used_at": rfc3339(key.last_used_at),
            "expires_at": rfc3339(key.expires_at),
        },
    }
