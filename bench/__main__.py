"""`make bench`: one line per goal and database; exit status 1 if one failed. PEERS=all adds the peers."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench import contests, databases, history, pages, peers, reconciling, sandbox, schema, spending, usage
from bench.databases import Fresh
from bench.table import Line


def main() -> int:
    """Measure, print, and compare with the goals."""
    with_peers = os.environ.get("PEERS") == "all"
    if with_peers:
        peers.install()
    folder = Path(tempfile.mkdtemp(prefix="portal-bench-"))
    verdicts = []
    try:
        print("name | ours | floor | peer | ratio median (min–max) | goal | PASS/FAIL", flush=True)
        for kind, fresh in databases.all_here().items():
            for line in _lines(kind, fresh, folder / kind, with_peers=with_peers):
                print(line, flush=True)
                verdicts.append(line.verdict)
    finally:
        shutil.rmtree(folder)
    print(f"{verdicts.count('PASS')} passed, {verdicts.count('FAIL')} failed")
    return 1 if "FAIL" in verdicts else 0


def _lines(kind: str, fresh: Fresh, folder: Path, *, with_peers: bool) -> Iterator[Line]:
    for contest in contests.CONTESTS:
        yield from contests.lines(contest, kind, fresh, folder, with_peers=with_peers)
    yield from history.lines(kind, fresh, folder)
    yield from schema.lines(kind, fresh, folder)
    yield from pages.lines(kind, fresh, folder)
    yield from spending.lines(kind, fresh, folder)
    yield from usage.lines(kind, fresh, folder)
    yield from reconciling.lines(kind, fresh, folder)
    yield from sandbox.lines(kind, folder, with_peers=with_peers)


if __name__ == "__main__":
    sys.exit(main())
