"""The current time, always aware and in UTC."""

from datetime import UTC, datetime


def now(frozen: datetime | None = None) -> datetime:
    """Return the current time, or `frozen` (a customer's test clock). Raises ValueError for a time without a
    zone.
    """
    if frozen is None:
        return datetime.now(UTC)
    if frozen.tzinfo is None:
        raise ValueError("a frozen clock needs a time zone")
    return frozen.astimezone(UTC)
