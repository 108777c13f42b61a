"""Loading the catalogue: a row is brought to what its entry says."""

from typing import Any

from portal.extensions import db
from portal.models import CreditPackage, Meter


def bring(
    model: type[CreditPackage] | type[Meter], row: CreditPackage | Meter | None, facts: dict[str, Any]
) -> str:
    """Write what differs, a new row where there is none; gives Created, Updated or Unchanged."""
    if row is None:
        db.session.add(model(**facts))
        return "Created"
    differing = {name: value for name, value in facts.items() if getattr(row, name) != value}
    for name, value in differing.items():
        setattr(row, name, value)
    return "Updated" if differing else "Unchanged"
