"""Loading the catalogue: a row is brought to what its entry says."""

from collections.abc import Iterable
from typing import Any, TypeVar

from portal.extensions import db
from portal.models import CreditPackage, Meter, Plan, Price

Row = TypeVar("Row", CreditPackage, Meter, Plan, Price)


def bring(model: type[Row], row: Row | None, facts: dict[str, Any]) -> str:
    """Write what differs, a new row where there is none; gives Created, Updated or Unchanged."""
    if row is None:
        db.session.add(model(**facts))
        return "Created"
    return "Updated" if write(row, facts) else "Unchanged"


def write(row: Row, facts: dict[str, Any]) -> bool:
    """Write what differs; whether anything did."""
    differing = {name: value for name, value in facts.items() if getattr(row, name) != value}
    for name, value in differing.items():
        setattr(row, name, value)
    return bool(differing)


def withdraw(rows: Iterable[Row]) -> list[Row]:
    """Take what the catalogue lost off sale; gives what was on sale until now."""
    return [row for row in rows if write(row, {"withdrawn": True})]
