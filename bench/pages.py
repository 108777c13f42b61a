"""P13: the worst page by size, requests and queries, and queries that grow with rows."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

from bench.databases import Fresh
from bench.race import PYTHON, ROOT
from bench.table import Line

KILOBYTE = 1000
ADMIN = ", an admin"  # how the visits of the admin's pages are named
GOALS = {"KB gzipped": 40, "requests": 6, "queries": 6, "more queries with 50 times the rows": 0}

Counts = dict[str, dict[str, int]]  # page → weight in bytes, requests, queries


def lines(kind: str, fresh: Fresh, folder: Path) -> Iterator[Line]:
    """A line for each goal, with the page that comes closest to it or misses it most."""
    place = folder / "pages"
    command = [str(PYTHON), "-m", "bench.visits", fresh(place), str(place)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if run.returncode:
        yield Line(f"P13 every page · {kind}", 0, trouble=run.stderr[-2000:])
        return
    found = json.loads(run.stdout)
    for unit, pages in _by_goal(found["few"], found["many"]).items():
        for whose in ("pages", "admin pages"):
            theirs = {
                page: value for page, value in pages.items() if page.endswith(ADMIN) == (whose == "admin pages")
            }
            yield _worst(unit, whose, theirs, kind)


def _by_goal(few: Counts, many: Counts) -> dict[str, dict[str, float]]:
    values = (
        {page: counts["weight"] / KILOBYTE for page, counts in many.items()},
        {page: counts["requests"] for page, counts in many.items()},
        {page: counts["queries"] for page, counts in many.items()},
        {page: counts["queries"] - few[page]["queries"] for page, counts in many.items()},
    )
    return dict(zip(GOALS, values, strict=True))


def _worst(unit: str, whose: str, pages: dict[str, float], kind: str) -> Line:
    page = max(pages, key=lambda one: pages[one])
    name = f"P13 the worst of {len(pages)} {whose}: {unit} · {kind}"
    return Line(name, GOALS[unit], ours=f"{pages[page]:.3g} on {page}", ratios=[pages[page]])
