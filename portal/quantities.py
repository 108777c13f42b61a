"""Exact quantities: whole units and billionths of a unit."""

from decimal import Decimal

DECIMALS = 9
NANO = 10**DECIMALS
MOST = 10**15  # units per event


def split(quantity: Decimal) -> tuple[int, int]:
    """Split a quantity with at most nine decimals into whole units and billionths."""
    nanos = int(quantity * NANO)
    return nanos // NANO, nanos % NANO


def joined(units: int, nanos: int) -> Decimal:
    """Join units and billionths; both may be sums."""
    return Decimal(units * NANO + nanos).scaleb(-DECIMALS)


def text(quantity: Decimal) -> str:
    """Format 1234.500000000 as "1,234.5"."""
    return f"{_plain(quantity):,f}"


def wire(quantity: Decimal) -> str:
    """Format 1234.500000000 as "1234.5", for programs."""
    return f"{_plain(quantity):f}"


def _plain(quantity: Decimal) -> Decimal:
    return quantity.normalize() if quantity else Decimal(0)
