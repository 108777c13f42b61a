"""Looking up many rows by their Stripe ids."""

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from sqlalchemy import select

from portal.enums import Mode
from portal.extensions import db
from portal.models import Base

Row = TypeVar("Row", bound=Base)

TOGETHER = 500  # ids looked up by one statement


def named(model: type[Row], mode: Mode, column: str, ids: Iterable[str] | Iterable[int]) -> Iterator[Row]:
    """Yield the rows of a mode whose column has one of these ids."""
    wanted: list[Any] = list(ids)
    for start in range(0, len(wanted), TOGETHER):
        some = getattr(model, column).in_(wanted[start : start + TOGETHER])
        yield from db.session.execute(select(model).filter_by(mode=mode).where(some)).scalars()
