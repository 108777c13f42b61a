"""A pytest plugin (-p tests.sandbox.dropping): each test runs once for each parameter that supported.toml names it
for, without that parameter. A parameter that no run misses is not tested, and the session fails.
"""

import urllib.parse
from typing import Any

import pytest

from tests.sandbox import sending

CASES: dict[str, tuple[str, sending.Sent]] = {}  # by node id: the test and what it runs without
FELT: set[tuple[str, sending.Sent]] = set()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    claimed = sending.claims().get(f"{metafunc.module.__name__.rpartition('.')[2]}.{metafunc.function.__name__}")
    if claimed:
        cases = sorted(claimed)
        metafunc.parametrize("dropped", cases, ids=[f"without {name}" for _, name in cases])


def pytest_collection_modifyitems(items: list[Any]) -> None:
    cases = [item for item in items if "dropped" in getattr(getattr(item, "callspec", None), "params", {})]
    CASES.update({item.nodeid: (sending.name_of(item), item.callspec.params["dropped"]) for item in cases})
    items[:] = cases


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.failed:
        FELT.add(CASES[report.nodeid])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for test, (operation, name) in sorted(set(CASES.values()) - FELT):
        terminalreporter.write_line(f"NOT FELT: {operation} {name} by {test}")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    session.exitstatus = 1 if set(CASES.values()) - FELT else 0


def without(dropped: sending.Sent | None, method: str, url: str, form: str) -> tuple[str, str]:
    """An address and a form without one parameter."""
    parts = urllib.parse.urlsplit(url)
    if dropped is None:
        return url, form
    operation, takes = sending.operation_of(method, parts.path)
    if dropped[0] not in (operation, "everywhere"):
        return url, form
    query, body = (left(operation, takes, dropped[1], text) for text in (parts.query, form))
    return urllib.parse.urlunsplit(parts._replace(query=query)), body


def left(operation: str, takes: dict[str, Any], dropped: str, text: str) -> str:
    """The pairs of a query or form that do not belong to a parameter."""
    pairs = urllib.parse.parse_qsl(text, keep_blank_values=True)
    kept = [pair for pair in pairs if dropped not in sending.entries(operation, takes, pair)]
    return urllib.parse.urlencode(kept)
