"""The time, always aware and in UTC."""

from datetime import UTC, datetime


def now(frozen: datetime | None = None) -> datetime:
    """The time it is; `frozen` (a customer's test clock) wins. Raises ValueError for a clock without a zone."""
    if frozen is None:
        return datetime.now(UTC)
    if frozen.tzinfo is None:
        raise ValueError("a frozen clock needs a time zone")
    return frozen.astimezone(UTC)
