"""What a customer may use, answered from memory while nothing changed.

The customer's row carries a version that is raised in the transaction that changes access. The one statement
that finds a key reads it too, so what is remembered never outlives a commit.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import current_app

from portal import access, clock
from portal.callers import Caller
from portal.extensions import db
from portal.models import Customer

MOST = 50_000  # customers remembered in one process, some 1 KB each


@dataclass(frozen=True, slots=True)
class Remembered:
    """Facts, the version they belong to, and when time alone ends them (grace, a scheduled end)."""

    version: int
    until: datetime | None
    facts: dict[str, Any]


def memory() -> dict[int, Remembered]:
    """What this process remembers, by customer id."""
    kept: dict[int, Remembered] = current_app.extensions.setdefault("entitlements", {})
    return kept


def of(caller: Caller) -> dict[str, Any]:
    """`customer`, `mode`, `status`, `tier`, `entitlements` and `credits` of a caller (contract §4)."""
    known = memory().get(caller.customer_id)
    if known is None or known.version != caller.access_version or (known.until and known.until <= clock.now()):
        known = _remember(caller)
    return {**known.facts, "credits": caller.credit_balance}


def _remember(caller: Caller) -> Remembered:
    customer = db.session.get_one(Customer, caller.customer_id)
    mine = access.of(customer)
    facts = {
        "customer": str(caller.customer_id),
        "mode": caller.mode,
        "status": mine.status,
        "tier": mine.tier,
        "entitlements": mine.entitlements,
    }
    kept = memory()
    if len(kept) >= MOST:
        kept.clear()
    # A test clock stands still until an event moves it, and that raises the version.
    until = None if customer.clock_at else mine.until
    known = kept[caller.customer_id] = Remembered(caller.access_version, until, facts)
    return known
