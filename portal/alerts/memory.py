"""What a host remembers between two runs, in a file: the newest counts, and whom it told of a lost database."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

from portal.alerts.rules import RATIOS, Numbers
from portal.settings import current_settings

FILE = "alerts.json"
SLACK = timedelta(seconds=30)  # runs are a minute apart, more or less
KEPT = timedelta(minutes=max(one.minutes for one in RATIOS) + 2)


@dataclass
class Memory:
    """The file's content. Times are in seconds since 1970."""

    samples: list[tuple[float, dict[str, float]]] = field(default_factory=list)  # oldest first
    quiet_since: dict[str, float] = field(default_factory=dict)  # alerts whose rule no longer holds
    down_since: float | None = None  # since when the database cannot be reached
    down_told: list[str] = field(default_factory=list)  # hashes of who was told of it

    def add(self, now: datetime, counts: dict[str, float]) -> None:
        """Keep these counts, and forget those that no window needs."""
        self.samples = [one for one in self.samples if (now - KEPT).timestamp() < one[0] <= now.timestamp()]
        self.samples.append((now.timestamp(), counts))

    def increase(self, now: datetime, minutes: int) -> Numbers:
        """Return how much each counter grew in the last minutes, in all groups of processes. One that fell began
        again at 0.
        """
        since = (now - timedelta(minutes=minutes) - SLACK).timestamp()
        kept = [counts for at, counts in self.samples if at >= since]
        grown: dict[str, float] = {}
        for before, after in pairwise(kept):
            for name, value in after.items():
                earlier = before.get(name, value)
                counter = name.rpartition(":")[2]
                grown[counter] = grown.get(counter, 0) + (value - earlier if value >= earlier else value)
        return grown


@contextmanager
def of_host() -> Iterator[Memory | None]:
    """Yield the memory, and write it afterwards; None if another process of this host is using it."""
    folder = current_settings().instance_path
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / f"{FILE}.lock").open("w") as lock:
        if not _locked(lock.fileno()):
            yield None
            return
        found = _read(folder / FILE)
        try:
            yield found
        finally:
            draft = folder / f".{FILE}"
            draft.write_text(json.dumps(asdict(found)))
            os.replace(draft, folder / FILE)


def _locked(descriptor: int) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows, where only commands run
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(path: Path) -> Memory:
    """Return the file's content; nothing if it is missing or broken."""
    try:
        facts = json.loads(path.read_text())
        facts["samples"] = [(float(at), dict(counts)) for at, counts in facts["samples"]]
        return Memory(**facts)
    except (OSError, ValueError, TypeError, KeyError):
        return Memory()
