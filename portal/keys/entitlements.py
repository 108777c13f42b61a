"""What a customer may use, returned from a cache while nothing has changed.

The customer's row has a version that is incremented in each transaction that changes access. The statement that
finds a key also reads the version, so a cached value never outlives a commit.
"""

from typing import Any

from portal import clock
from portal.api.authentication import Caller
from portal.customers import access
from portal.enums import Mode
from portal.extensions import db
from portal.keys import cache, included
from portal.keys.cache import Remembered
from portal.models import Customer

FACTS = {"customer", "mode", "status", "tier", "entitlements", "cluster", "included"}


def of(caller: Caller) -> dict[str, Any]:
    """Return `customer`, `mode`, `status`, `tier`, `entitlements`, `included`, `cluster` and `credits`."""
    key, kept = _key(caller), cache.of_app()
    known = kept.get(key)
    if known is None or not _holds(known, caller):
        known = _found(caller)
        kept.put(key, known)
    facts = known.facts | {"included": included.measured(known.facts["included"])}
    return {**facts, "credits": caller.credit_balance}


def _key(caller: Caller) -> str:
    """Return the cache key, such as `entitlements:42`, which an operator may delete. Test mode has its own."""
    return f"entitlements:{caller.user_id}" + ("" if caller.mode == Mode.LIVE else f":{caller.mode}")


def _holds(known: Remembered, caller: Caller) -> bool:
    if not known.facts.keys() >= FACTS:  # cached by an earlier version
        return False
    return known.version == caller.access_version and (known.until is None or known.until > clock.now())


def _found(caller: Caller) -> Remembered:
    customer = db.session.get_one(Customer, caller.customer_id)
    mine = access.of(customer)
    kept, until = included.facts(customer)
    facts = {
        "customer": str(caller.customer_id),
        "mode": caller.mode,
        "status": mine.status,
        "tier": mine.tier,
        "entitlements": mine.entitlements,
        "cluster": customer.cluster,
        "included": kept,
    }
    # A test clock changes only by an event, which increments the version.
    untils = [] if customer.clock_at else [one for one in (mine.until, until) if one]
    return Remembered(caller.access_version, min(untils, default=None), facts)
