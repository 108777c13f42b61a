"""Our copies of Stripe's objects: one row per object, written by a sync."""

from functools import cache
from typing import Any

from sqlalchemy import Executable

from portal.enums import Mode
from portal.extensions import db, insert
from portal.models import Invoice, Subscription

KEY = ("mode", "stripe_id")

Copied = type[Invoice] | type[Subscription]


def write(model: Copied, mode: Mode, stripe_id: str, values: dict[str, Any]) -> None:
    """Insert or update the object's row with these values. Flushes."""
    row = {"mode": mode, "stripe_id": stripe_id, **values}
    db.session.connection().execute(_upsert(model, db.engine.dialect.name, tuple(values)), row)


@cache
def _upsert(model: Copied, dialect: str, written: tuple[str, ...]) -> Executable:
    """Build the statement once per table and database: building it costs more than running it."""
    statement = insert(model)
    return statement.on_conflict_do_update(
        index_elements=KEY, set_={name: statement.excluded[name] for name in written}
    )
