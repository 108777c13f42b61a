"""CSV files of an earlier system: read and checked as a whole before anything is written."""

import csv
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from portal.errors import InvalidInput

Row = TypeVar("Row")
MOST_SHOWN = 50  # faults of one file


@dataclass(frozen=True)
class Line:
    """One line of a file, and its number there."""

    number: int
    cells: dict[str, str]

    def __getitem__(self, column: str) -> str:
        """Return a cell without surrounding spaces; empty if the file does not have the column."""
        return self.cells.get(column, "").strip()


class BadFile(InvalidInput):
    """A file with faults; the message has a line for each."""

    def __init__(self, faults: Sequence[str]) -> None:
        more = [f"and {len(faults) - MOST_SHOWN} more"] if len(faults) > MOST_SHOWN else []
        super().__init__("\n".join([*faults[:MOST_SHOWN], *more, "Nothing was written."]))


def lines(path: Path, needs: Sequence[str], takes: Sequence[str]) -> list[Line]:
    """Return the lines below the head, which names the columns. Raises BadFile."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restkey="", restval="")
            head = [name.strip() for name in reader.fieldnames or ()]
            faults = [f"The file needs a column {name}." for name in needs if name not in head]
            known = (*needs, *takes)
            faults += [f"Unknown column {name}; known: {', '.join(known)}." for name in head if name not in known]
            if faults:
                raise BadFile(faults)
            reader.fieldnames = head
            return [_line(reader.line_num, cells) for cells in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadFile([f"The file cannot be read: {error}."]) from None


def _line(number: int, cells: dict[str, str]) -> Line:
    if "" in cells:
        raise BadFile([f"line {number}: it has more cells than the head has columns."])
    return Line(number, cells)


def parsed(found: Iterable[Line], parse: Callable[[Line], Row]) -> list[Row]:
    """Parse every line. Raises BadFile with each InvalidInput that `parse` raised, and the number of its line."""
    rows, faults = [], []
    for line in found:
        try:
            rows.append(parse(line))
        except InvalidInput as fault:
            faults.append(f"line {line.number}: {fault.detail}")
    if faults:
        raise BadFile(faults)
    return rows


def once(value: str, what: str, seen: set[str]) -> str:
    """Return the value, and remember it. Raises InvalidInput for one that the file had before."""
    if value in seen:
        raise InvalidInput(f"the {what} was in an earlier line too.")
    seen.add(value)
    return value
