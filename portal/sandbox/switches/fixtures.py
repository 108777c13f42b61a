"""Seeding an account from a fixture file of the Stripe CLI: https://docs.stripe.com/cli/fixtures."""

import os
import re
import urllib.parse
from collections.abc import Iterator
from typing import Any

from flask.testing import FlaskClient

Json = dict[str, Any]
QUERY = re.compile(r"\$\{([^:}|]+):([^}|]+)(?:\|([^}]*))?\}")
FIELDS = {"name", "path", "method", "params", "expected_error_type", "idempotency_key", "context", "api_base"}


class FixtureError(Exception):
    """A fixture file that is invalid, or one of whose requests was refused."""


def seed(file: Json, client: FlaskClient, key: str) -> Json:
    """Send a file's requests one after the other, and return the responses by the name of their fixture. Raises
    FixtureError.
    """
    if not isinstance(file.get("fixtures"), list):
        raise FixtureError("The file has no list of fixtures.")
    made: Json = {}
    for fixture in file["fixtures"]:
        if unknown := fixture.keys() - FIELDS:
            raise FixtureError(f"A fixture has an unknown field: {', '.join(sorted(unknown))}")
        method, path = fixture.get("method", "post").upper(), str(filled(fixture["path"], made))
        form = urllib.parse.urlencode(list(flat(filled(fixture.get("params", {}), made))))
        sent = {"Authorization": f"Bearer {key}"}
        if fixture.get("idempotency_key"):
            sent["Idempotency-Key"] = str(filled(fixture["idempotency_key"], made))
        kind = "application/x-www-form-urlencoded"
        given: Json = {"query_string": form} if method == "GET" else {"data": form, "content_type": kind}
        answer = client.open(path, method=method, headers=sent, **given)
        body = answer.get_json() or {}
        refused = body.get("error", {}) if answer.status_code >= 400 else {}
        if refused.get("type") != fixture.get("expected_error_type"):
            raise FixtureError(f"{fixture['name']}: {refused.get('message') or 'it should have been refused'}")
        made[fixture["name"]] = body
    return made


def filled(value: Any, made: Json) -> Any:
    """Return a value with its queries, such as ${customer:id} or ${.env:PHONE|123}, replaced."""
    if isinstance(value, dict):
        return {name: filled(inner, made) for name, inner in value.items()}
    if isinstance(value, list):
        return [filled(inner, made) for inner in value]
    if not isinstance(value, str):
        return value
    return QUERY.sub(lambda query: answer(query[1], query[2], query[3], made), value)


def answer(name: str, path: str, default: str | None, made: Json) -> str:
    """Return what a query finds in an earlier response, or in the environment. Raises FixtureError."""
    found: Any = dict(os.environ) if name == ".env" else made.get(name)
    for part in [path] if name == ".env" else path.split("."):
        if isinstance(found, list):
            found = found[int(part)] if part.isdigit() and int(part) < len(found) else None
        else:
            found = found.get(part) if isinstance(found, dict) else None
    if found is None and default is None:
        raise FixtureError(f"${{{name}:{path}}} finds nothing")
    return str(default if found is None else found)


def flat(value: Any, at: str = "") -> Iterator[tuple[str, str]]:
    """Yield the parameters of a form: nested names in brackets."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from flat(inner, f"{at}[{name}]" if at else name)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from flat(inner, f"{at}[{number}]")
    elif isinstance(value, bool):
        yield at, str(value).lower()
    else:
        yield at, "" if value is None else str(value)
