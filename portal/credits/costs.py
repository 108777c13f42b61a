"""The cost of serving a call, converted to credits."""

from decimal import ROUND_CEILING, Decimal
from functools import cache
from pathlib import Path

from portal.catalogue import catalogue_file
from portal.settings import current_settings


def credits_for(cost: Decimal) -> int:
    """Convert a cost in the currency's major unit to credits: add the markup and round up to a whole credit.

    ceil(cost × 1.15 × 100) with the catalogue that ships.
    """
    factor = _credits_per_unit(current_settings().catalogue)
    return int((cost * factor).to_integral_value(rounding=ROUND_CEILING))


@cache
def _credits_per_unit(path: Path) -> Decimal:
    """Read the file once, because every spend by cost needs it."""
    read = catalogue_file.read(path)
    return (1 + read.markup) * read.custom.credits_per_unit
