"""The models' tables in a new SQLite file: made once in each test process, and copied after that."""

import contextlib
import functools
import sqlite3
from pathlib import Path

from portal.extensions import db


@functools.cache
def _made() -> bytes:
    """A file that has them, made by the portal in whose context this is called first."""
    db.create_all()
    with contextlib.closing(sqlite3.connect(str(db.engine.url.database))) as file:
        return file.serialize()


def create() -> None:
    """Have all tables in this portal's database, where there is none yet. Inside an app context."""
    file = Path(str(db.engine.url.database))
    if not file.exists():
        made = _made()  # the first time, in this very file
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(made)
