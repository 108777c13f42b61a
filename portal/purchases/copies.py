"""Our copies of Stripe's objects: a row each, which a sync writes."""

from functools import cache
from typing import Any

from sqlalchemy import Executable

from portal.extensions import db, insert
from portal.models import Invoice, Subscription

KEY = ("mode", "stripe_id")

Copied = type[Invoice] | type[Subscription]


def write(model: Copied, mode: str, stripe_id: str, values: dict[str, Any]) -> None:
    """Put these values in the object's row, made where there is none. Flushes."""
    row = {"mode": mode, "stripe_id": stripe_id, **values}
    db.session.connection().execute(_upsert(model, db.engine.dialect.name, tuple(values)), row)


@cache
def _upsert(model: Copied, dialect: str, written: tuple[str, ...]) -> Executable:
    """Built once for each table and database: that costs more than running it."""
    statement = insert(model)
    return statement.on_conflict_do_update(
        index_elements=KEY, set_={name: statement.excluded[name] for name in written}
    )
