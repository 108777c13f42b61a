"""The table that `make bench` prints, one line per goal."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Line:
    """One goal: what was measured, as text, and the ratio to its rival in each repeat, or why there is none."""

    name: str
    goal: float
    ours: str = "–"
    floor: str = "–"
    peer: str = "–"
    ratios: Sequence[float] = ()
    trouble: str = ""  # it could not be measured, or it did not do its work
    skipped: str = ""  # what it is measured against is not here

    @property
    def verdict(self) -> str:
        """A goal is missed only where the best repeat misses it, so that noise alone fails nothing."""
        if self.skipped:
            return self.skipped
        return "PASS" if self.ratios and min(self.ratios) <= self.goal else "FAIL"

    def __str__(self) -> str:
        cells = (self.name, self.ours, self.floor, self.peer, self._ratio(), f"≤ {self.goal:g}", self.verdict)
        return " | ".join(cells) + (f" ({self.trouble})" if self.trouble else "")

    def _ratio(self) -> str:
        if not self.ratios:
            return "–"
        low, middle, high = min(self.ratios), median(self.ratios), max(self.ratios)
        return f"{middle:.3g} ({low:.3g}–{high:.3g})"


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Ours by theirs, repeat by repeat."""
    return [mine / other for mine, other in zip(ours, theirs, strict=True)]


def milliseconds(values: Sequence[float]) -> str:
    """The median as text."""
    return f"{median(values):.2f} ms" if values else "–"
