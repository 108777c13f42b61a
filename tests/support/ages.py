"""Backdating rows, as if time had passed."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from portal.extensions import db

TIMES = ("created_at", "called_at", "opened_at")


def age(model: Any, **by: float) -> None:
    """Make every row of a table older, inside an app context. Commits."""
    for row in db.session.execute(select(model).execution_options(populate_existing=True)).scalars():
        for name in TIMES:
            if isinstance(getattr(row, name, None), datetime):
                setattr(row, name, getattr(row, name) - timedelta(**by))
    db.session.commit()
