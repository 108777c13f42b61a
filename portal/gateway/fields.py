"""Readers for the fields of Stripe's JSON, as of API version 2026-10-28.endive.

Amounts are minor units of `currency`; times are aware UTC. Fields that Stripe has moved over the years are read
from their current place.
"""

from datetime import UTC, datetime
from typing import Any

Json = dict[str, Any]


def time(seconds: int | None) -> datetime | None:
    """Convert Stripe's seconds since 1970 to an aware time. Null stays None."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def id_of(value: str | Json | None) -> str | None:
    """Return the id from a field that may be expanded."""
    return value["id"] if isinstance(value, dict) else value


def ids_of(listed: list[Any] | None) -> tuple[str, ...]:
    """Return the ids from a list whose elements may be expanded."""
    return tuple(found for one in listed or [] if (found := id_of(one)))
