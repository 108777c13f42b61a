"""Which parameters a call sends, by operation, in the notation of the sandbox's list of supported parameters."""

import functools
import re
import urllib.parse
from typing import Any

import pytest

from portal.sandbox import spec
from portal.sandbox.api import parameters
from portal.sandbox.api.wire import nest

Sent = tuple[str, str]  # an operation and a parameter


@functools.cache
def addresses() -> list[tuple[str, re.Pattern[str], dict[str, Any]]]:
    """Return the operations with their addresses as patterns, those without ids first."""
    known = {name: spec.parameters(name) for name in (*spec.operations(), *spec.acted_on()) if " " in name}
    rows = [(name, re.sub(r"\{\w+\}", r"[^/]+", name.split(" ")[1]), takes) for name, takes in known.items()]
    return [
        (name, re.compile(path), takes) for name, path, takes in sorted(rows, key=lambda row: row[0].count("{"))
    ]


def operation_of(method: str, path: str) -> tuple[str, dict[str, Any]]:
    """The operation that serves an address, and what Stripe's takes."""
    return next(
        (name, takes)
        for name, pattern, takes in addresses()
        if name.startswith(f"{method} ") and pattern.fullmatch(path)
    )


def sent(method: str, url: str, form: str) -> set[Sent]:
    """The parameters of one call."""
    parts = urllib.parse.urlsplit(url)
    pairs = [pair for text in (parts.query, form) for pair in urllib.parse.parse_qsl(text, keep_blank_values=True)]
    name, takes = operation_of(method, parts.path)
    return {(name, entry) for pair in pairs for entry in entries(name, takes, pair)}


def entries(operation: str, takes: dict[str, Any], pair: tuple[str, str]) -> set[str]:
    """The entries of the list that let one pair of a form pass."""
    given = parameters.values(nest([pair]), takes)
    return {entry for one in given if (entry := entry_of(operation, one))}


def entry_of(operation: str, one: parameters.Given) -> str:
    """Return the entry of the list that allows a value; "" if there is none."""
    known = parameters.supported(operation)
    return next((entry for entry in parameters.entries(one.pattern) if entry in known), "")


def name_of(test: pytest.Item) -> str:
    """Return a test's name as it is in the list of supported parameters."""
    return f"{test.path.stem}.{getattr(test, 'originalname', test.name)}"


@functools.cache
def claims() -> dict[str, set[Sent]]:
    """Return the parameters that each test is listed for."""
    found: dict[str, set[Sent]] = {}
    for operation, named in spec.acted_on().items():
        for entry, test in named.items():
            found.setdefault(test, set()).add((operation, entry.partition("=")[0]))
    return found


def unsent(test: pytest.Item, seen: set[Sent]) -> set[Sent]:
    """Return the parameters that a test is listed for and did not send."""
    anywhere = {("everywhere", entry) for _, entry in seen}
    return claims().get(name_of(test), set()) - seen - anywhere
