"""Stripe's specification as a judge inside the tests: every call, answer and event is held against it.

The checker is a program of its own. CONFORMANCE_CHECKER names it; by default it is looked for beside the project.
"""

import functools
import importlib.util
import json
import os
import tempfile
import urllib.parse
import warnings
from pathlib import Path
from typing import Any

import stripe

from tests.support import servers

CHECKER = Path(
    os.environ.get("CONFORMANCE_CHECKER", servers.ROOT.parent / "shared" / "stripe" / "check_conformance.py")
)
SERVERS_FAULT = 500


@functools.cache
def judge() -> Any:
    """The checker with Stripe's specification loaded; None if it is not installed."""
    if not CHECKER.exists():
        return None
    found = importlib.util.spec_from_file_location("check_conformance", CHECKER)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves its file to be closed by itself
        return module.Spec(document(CHECKER.parent / "openapi-slim.json"))


def document(slim: Path) -> Path:
    """The checker's document with what the sandbox adds to it, as a file of this process."""
    whole = json.loads(slim.read_text())
    more = json.loads((servers.ROOT / "portal/sandbox/spec/additions.json").read_text())
    whole["paths"] |= more["paths"]
    whole["components"]["schemas"] |= more["schemas"]
    made = Path(tempfile.mkdtemp()) / slim.name
    made.write_text(json.dumps(whole))
    return made


def wrong_with_event(event: dict[str, Any]) -> list[str]:
    """Return what in an event is not in the specification, as text."""
    spec = judge()
    return [f"{event['type']} {problem}" for problem in spec.event(event)] if spec else []


class JudgedClient(stripe.RequestsClient):
    """The SDK's own HTTP client, which keeps the errors of the responses that it gets."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(timeout=30)
        self.problems = problems

    def request(self, method: str, url: str, headers: Any, post_data: Any = None) -> Any:
        body, status, more = super().request(method, url, headers, post_data)
        self.problems += wrong_with_answer(method.upper(), url, str(post_data or ""), status, body)
        return body, status, more


def wrong_with_answer(method: str, url: str, form: str, status: int, body: Any) -> list[str]:
    """Return what in an accepted call, or in any response, is not in the specification."""
    spec, parts = judge(), urllib.parse.urlsplit(url)
    if spec is None:
        return []
    query, typed = (urllib.parse.parse_qsl(text, keep_blank_values=True) for text in (parts.query, form))
    asked = spec.request(method, parts.path, query, typed) if status < 400 else []
    expand = [value for name, value in query + typed if name.startswith("expand[")]
    answered = spec.response(method, parts.path, status, json.loads(body), expand)
    if status >= SERVERS_FAULT:
        answered = []  # a fault that a test asked for
    return [f"{method} {parts.path} {problem}" for problem in [*asked, *answered]]
