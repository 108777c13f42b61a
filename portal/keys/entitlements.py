"""What a customer may use, answered from a cache while nothing changed.

The customer's row carries a version that is raised in the transaction that changes access. The one statement
that finds a key reads it too, so what is remembered never outlives a commit.
"""

from typing import Any

from portal import access, clock
from portal.callers import Caller
from portal.extensions import db
from portal.keys import cache
from portal.keys.cache import Remembered
from portal.models import Customer


def of(caller: Caller) -> dict[str, Any]:
    """`customer`, `mode`, `status`, `tier`, `entitlements` and `credits` of a caller (contract §4)."""
    key, kept = _key(caller), cache.of_app()
    known = kept.get(key)
    if known is None or not _holds(known, caller):
        known = _found(caller)
        kept.put(key, known)
    return {**known.facts, "credits": caller.credit_balance}


def _key(caller: Caller) -> str:
    """`entitlements:42`, which an operator may delete (seed 2); test mode has its own."""
    return f"entitlements:{caller.user_id}" + ("" if caller.mode == "live" else f":{caller.mode}")


def _holds(known: Remembered, caller: Caller) -> bool:
    return known.version == caller.access_version and (known.until is None or known.until > clock.now())


def _found(caller: Caller) -> Remembered:
    customer = db.session.get_one(Customer, caller.customer_id)
    mine = access.of(customer)
    facts = {
        "customer": str(caller.customer_id),
        "mode": caller.mode,
        "status": mine.status,
        "tier": mine.tier,
        "entitlements": mine.entitlements,
    }
    # A test clock stands still until an event moves it, and that raises the version.
    return Remembered(caller.access_version, None if customer.clock_at else mine.until, facts)
