"""What serving a call cost, in credits."""

from decimal import ROUND_CEILING, Decimal
from functools import cache
from pathlib import Path

from portal import catalogue
from portal.settings import current_settings


def credits_for(cost: Decimal) -> int:
    """The credits for a cost in the currency's major unit: the markup added, a part of a credit is a whole one.

    ceil(cost × 1.15 × 100) with the catalogue that ships (seed 3).
    """
    factor = _credits_per_unit(current_settings().catalogue)
    return int((cost * factor).to_integral_value(rounding=ROUND_CEILING))


@cache
def _credits_per_unit(path: Path) -> Decimal:
    """Read once: the file is on the way of every spend by cost."""
    read = catalogue.read(path)
    return (1 + read.markup) * read.custom.credits_per_unit
