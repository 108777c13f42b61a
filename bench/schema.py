"""P11: how long a new installation waits for its schema."""

import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

from bench.databases import Fresh
from bench.race import PYTHON, REPEATS, ROOT
from bench.table import Line

# dj-stripe 2.11's `migrate` on an empty database took 50 to 62 s (2 cores, Python 3.11, 2026-11-21); the lower
# end is what we are compared with.
DJSTRIPE_SECONDS = 50.0


def lines(kind: str, fresh: Fresh, folder: Path) -> Iterator[Line]:
    """One line: `flask db upgrade` on an empty database, imports and all, in CPU seconds."""
    seconds = [_upgrade(fresh(folder / f"schema-{number}"), folder) for number in range(REPEATS)]
    yield Line(
        f"P11 schema from nothing to head / dj-stripe's migrate · {kind}",
        0.04,
        ours=f"{sorted(seconds)[REPEATS // 2]:.2f} s",
        peer=f"{DJSTRIPE_SECONDS:.0f} s (as measured once)",
        ratios=[one / DJSTRIPE_SECONDS for one in seconds],
    )


def _upgrade(url: str, folder: Path) -> float:
    environment = os.environ | {"DATABASE_URL": url, "INSTANCE_PATH": str(folder)}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [str(PYTHON), "-m", "flask", "--app", "wsgi", "db", "upgrade"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
