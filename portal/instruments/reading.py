"""Reads what the processes of this host have measured: those of gunicorn, and Celery's workers.

Each of both has a label of its own, because one of them may begin again at 0 while the other goes on.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from prometheus_client import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from portal import instruments

WEB, WORKER = "web", "worker"


class OfProcesses(Collector):
    """The instruments of all processes, from their folders. Where gunicorn has none: those of this process."""

    def __init__(self, folders: dict[str, Path]) -> None:
        self.folders = {name: folder for name, folder in folders.items() if folder.is_dir()}

    def collect(self) -> Iterator[Metric]:
        """Yield each instrument once, with the label `process`."""
        found: dict[str, Metric] = {}
        if WEB not in self.folders and instruments.FOLDER not in os.environ:
            _add(found, WEB, instruments.OWN.collect())
        for process, folder in self.folders.items():
            files = [str(file) for file in folder.glob("*.db")]
            _add(found, process, MultiProcessCollector.merge(files, accumulate=True))  # type: ignore[no-untyped-call]
        yield from found.values()


def _add(found: dict[str, Metric], process: str, metrics: Iterable[Metric]) -> None:
    for one in metrics:
        mine = found.setdefault(one.name, Metric(one.name, one.documentation, one.type))
        mine.samples += [
            Sample(each.name, {**each.labels, "process": process}, each.value) for each in one.samples
        ]
