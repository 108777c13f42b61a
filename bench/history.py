"""P8: a page of the history costs the same for any length of the ledger."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

from bench.databases import Fresh
from bench.race import PYTHON, ROOT
from bench.table import Line, milliseconds, ratios

GOAL = 1.3


def lines(kind: str, fresh: Fresh, folder: Path) -> Iterator[Line]:
    """One line: the page's query, median of wall-clock times, on a long ledger and on a short one."""
    places = [folder / "history-long", folder / "history-short"]
    databases = [argument for place in places for argument in (fresh(place), str(place))]
    command = [str(PYTHON), "-m", "bench.ledgers", *databases]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    name = f"P8 history page query p50, 5 million rows / 10 thousand · {kind}"
    if run.returncode:
        yield Line(name, GOAL, trouble=run.stderr[-2000:])
        return
    long, short = json.loads(run.stdout)
    yield Line(name, GOAL, ours=milliseconds(long), floor=milliseconds(short), ratios=ratios(long, short))
