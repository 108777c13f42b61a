"""Both databases, with an empty one for each candidate."""

from collections.abc import Callable
from itertools import count
from pathlib import Path

from tests.support import servers
from tests.support.world import fresh_database

Fresh = Callable[[Path], str]  # the URL of an empty database, for a contestant that works in this folder

_numbers = count(1)


def all_here() -> dict[str, Fresh]:
    """SQLite, and PostgreSQL where there is one to be had."""
    server = servers.postgres()
    found: dict[str, Fresh] = {"SQLite": sqlite}
    if server is None:
        print("PostgreSQL could not be had, so nothing is measured on it")
    else:
        found["PostgreSQL"] = lambda folder: fresh_database(server, f"portal_bench_{next(_numbers)}")
    return found


def sqlite(folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{folder}/bench.db"
