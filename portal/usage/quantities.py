"""Quantities, exact: whole units and billionths of one."""

from decimal import Decimal

from portal import money

DECIMALS = 9
NANO = 10**DECIMALS
MOST = 10**15  # units of one event


def split(quantity: Decimal) -> tuple[int, int]:
    """Whole units and billionths of a quantity with at most nine decimals."""
    nanos = int(quantity * NANO)
    return nanos // NANO, nanos % NANO


def joined(units: int, nanos: int) -> Decimal:
    """What units and billionths come to; both may be sums."""
    return Decimal(units * NANO + nanos).scaleb(-DECIMALS)


def text(quantity: Decimal) -> str:
    """1234.500000000 as "1,234.5"."""
    return f"{_plain(quantity):,f}"


def wire(quantity: Decimal) -> str:
    """1234.500000000 as "1234.5", for machines."""
    return f"{_plain(quantity):f}"


def _plain(quantity: Decimal) -> Decimal:
    return quantity.normalize() if quantity else Decimal(0)


def amount(units: int, nanos: int, unit_price: Decimal, per: int, currency: str) -> int:
    """What a quantity costs, in minor units: exact until the one rounding at the end, half up."""
    top, bottom = unit_price.as_integer_ratio()
    cost = (units * NANO + nanos) * top * 10 ** money.exponent(currency)
    return money.half_up(cost, bottom * per * NANO)
