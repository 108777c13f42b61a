"""What a customer's plan includes, for entitlements: the numbers are cached, what is used is read each time."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from portal import clock
from portal.credits.included import overview
from portal.credits.included.overview import Part
from portal.models import Customer
from portal.usage.included import units
from portal.usage.monthly_run.months import Month

CREDITS = "credits"  # beside the meters, none of which can have this key


def facts(customer: Customer) -> tuple[dict[str, Any], datetime | None]:
    """Return what is included, as JSON, and until when that holds; nothing and None if nothing is."""
    month = Month.of(clock.now())
    parts = overview.parts(customer.id, clock.now(customer.clock_at))
    numbers = units.shown([customer.id], month).get(customer.id, [])
    if not parts and not numbers:
        return {}, None
    kept = {
        "customer": customer.id,
        "month": month.number,
        "meters": [[one.meter.id, one.meter.key, one.units] for one in numbers],
        "credits": [[one.grant_id, one.credits, one.until.isoformat()] for one in parts],
    }
    return kept, min([month.end, *(one.until for one in parts)])


def measured(kept: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return `included`, `used`, `remaining` and `resets_at` by meter and for credits. Runs two queries."""
    found: dict[str, dict[str, Any]] = {}
    if kept.get("meters"):
        month = Month.of_number(kept["month"])
        used = units.quantities_of(kept["customer"], month)
        for meter_id, key, most in kept["meters"]:
            quantity = min(used.get(meter_id, Decimal(0)), Decimal(most))
            found[key] = _facts(most, quantity, most - quantity, month.end)
    if kept.get("credits"):
        parts = [
            Part(grant_id, credits, datetime.fromisoformat(until)) for grant_id, credits, until in kept["credits"]
        ]
        if mine := overview.added(parts, overview.left([one.grant_id for one in parts])):
            found[CREDITS] = _facts(mine.credits, mine.used, mine.remaining, mine.resets_at)
    return found


def _facts(included: int, used: Decimal | int, remaining: Decimal | int, resets_at: datetime) -> dict[str, Any]:
    return {
        "included": included,
        "used": _number(used),
        "remaining": _number(remaining),
        "resets_at": resets_at,
    }


def _number(value: Decimal | int) -> int | float:
    """Return a whole number as such, any other as a float."""
    return int(value) if value == int(value) else float(value)
