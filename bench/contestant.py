"""One contestant in a process of its own. `python -m bench.contestant MODULE:FUNCTION DATABASE_URL FOLDER`

It answers each line of its input: `run 10` with the CPU seconds of ten requests, `check` with nothing, once
what they left in the database was counted.
"""

import importlib
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from typing import Any

Environ = dict[str, Any]


@dataclass(frozen=True)
class Contestant:
    """A WSGI app, the requests that it is sent (numbered from 0), and a count of their effects.

    `check(calls)` raises AssertionError where an effect was lost or doubled.
    """

    app: Callable[..., Iterable[bytes]]
    request: Callable[[int], Environ]
    check: Callable[[int], None] = lambda calls: None

    def run(self, first: int, calls: int) -> float:
        """CPU seconds of this process for so many requests; making them is the client's work, and not counted."""
        environs = [self.request(number) for number in range(first, first + calls)]
        begun = process_time()
        for environ in environs:
            self._answer(environ)
        return process_time() - begun

    def _answer(self, environ: Environ) -> None:
        answer = self.app(environ, _expect_ok)
        b"".join(answer)
        if hasattr(answer, "close"):
            answer.close()


def _expect_ok(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> None:
    if not status.startswith("200"):
        raise RuntimeError(f"answered {status}")


def _serve(contestant: Contestant) -> None:
    calls = 0
    for line in sys.stdin:
        word, _, count = line.partition(" ")
        if word == "run":
            print(contestant.run(calls, int(count)), file=answers, flush=True)
            calls += int(count)
        else:
            contestant.check(calls)
            print("right", file=answers, flush=True)


if __name__ == "__main__":
    where, url, folder = sys.argv[1:]
    module, _, function = where.partition(":")
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints joins the log
    _serve(getattr(importlib.import_module(module), function)(url, Path(folder)))
