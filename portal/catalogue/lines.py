"""Where in a TOML file an entry stands, and the lines that say what is wrong there."""

import re
from collections.abc import Iterable
from typing import Any

Where = tuple[str | int, ...]  # ("plans", "pro", "monthly"); a number counts the tables of a list from 0
Fault = tuple[Where, str]  # and what is wrong there


def fault(entry: Any) -> Fault:
    """One of pydantic's errors, in our words where it has plain ones."""
    where = tuple(part for part in entry["loc"] if part != "[key]")
    if entry["type"] == "value_error":
        return where, str(entry["ctx"]["error"])
    known = {"missing": "is missing", "extra_forbidden": "is not a key that belongs here"}
    return where, known.get(entry["type"], entry["msg"].replace("Input should", "should"))


def placed(name: str, text: str, faults: Iterable[Fault]) -> str:
    """A line for each fault, in the file's order: name, line, entry, words."""
    lines = _lines(text)
    found = sorted((_line(lines, where), dotted(where), words) for where, words in faults)
    return "\n".join(f"{name}:{line}: {where}: {words}" for line, where, words in found)


def dotted(where: Where) -> str:
    """plans.pro.monthly, or packages.2 for the second of a list."""
    return ".".join(str(part + 1) if isinstance(part, int) else part for part in where)


def _line(lines: dict[Where, int], where: Where) -> int:
    """The line of an entry; of the table that it is in, or is missing from, where it has none of its own."""
    while where and where not in lines:
        where = where[:-1]
    return lines.get(where, 1)


def _lines(text: str) -> dict[Where, int]:
    """The line of every table and key."""
    found: dict[Where, int] = {}
    table: Where = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*(\[\[?)\s*([\w.-]+)\s*\]", line):
            table = tuple(header[2].split("."))
            if header[1] == "[[":
                table += (sum(1 for known in found if known[:-1] == table and isinstance(known[-1], int)),)
            found[table] = number
        elif key := re.match(r"\s*([\w-]+)\s*=", line):
            found[(*table, key[1])] = number
    return found
