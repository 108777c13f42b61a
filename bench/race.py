"""Ratios that a noisy machine cannot bend: contestants take turns in slices of ten calls, the order reversed
each turn.

What counts is the CPU time of each one's own process, so waiting, other processes and the database's server
do not.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent
PYTHON = Path(sys.executable)
REPEATS = 5
SLICES = 30  # a repeat's, for each contestant
CALLS = 10  # a slice's
WARM_UP = 5  # slices that count for nothing


@dataclass(frozen=True)
class Entry:
    """Who takes part: a `module:function` that gives a Contestant, its database, and the Python it runs on."""

    where: str
    database_url: str
    folder: Path
    python: Path = PYTHON


@dataclass
class Runner:
    """A contestant's process."""

    name: str
    process: "subprocess.Popen[str]"
    log: Path
    milliseconds: list[float] = field(default_factory=list)  # CPU time a call, one number a repeat

    def ask(self, line: str) -> str:
        """Its answer to a line. Raises RuntimeError with the end of its log where it died instead."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            print(line, file=self.process.stdin, flush=True)
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise RuntimeError(f"{self.name} gave up: {self.log.read_text()[-2000:]}")
        return answer

    def slice(self) -> float:
        """CPU seconds of one slice."""
        return float(self.ask(f"run {CALLS}"))


def run(entries: dict[str, Entry]) -> dict[str, list[float]]:
    """CPU milliseconds a call for each contestant, one number a repeat; then each one's effects are counted."""
    with ExitStack() as stack:
        runners = [stack.enter_context(_started(name, entry)) for name, entry in entries.items()]
        for _ in range(WARM_UP):
            _turn(runners)
        for _ in range(REPEATS):
            _repeat(runners)
        for runner in runners:
            runner.ask("check")
        return {runner.name: runner.milliseconds for runner in runners}


@contextmanager
def _started(name: str, entry: Entry) -> Iterator[Runner]:
    entry.folder.mkdir(parents=True, exist_ok=True)
    log = entry.folder / "log"
    command = [str(entry.python), "-m", "bench.contestant", entry.where, entry.database_url, str(entry.folder)]
    with log.open("w") as errors:
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        )
        try:
            yield Runner(name, process, log)
        finally:
            process.communicate()  # the end of its input is the end of it


def _repeat(runners: list[Runner]) -> None:
    seconds = {runner.name: 0.0 for runner in runners}
    for _ in range(SLICES):
        for name, cost in _turn(runners).items():
            seconds[name] += cost
    for runner in runners:
        runner.milliseconds.append(seconds[runner.name] * 1000 / (SLICES * CALLS))


def _turn(runners: list[Runner]) -> dict[str, float]:
    costs = {runner.name: runner.slice() for runner in runners}
    runners.reverse()
    return costs
