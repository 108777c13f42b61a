"""The OpenAPI 3.1 document, generated from the models that validate requests and describe responses.

Paths come from the URL map, texts from docstrings, schemas from the models.
"""

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from flask import Flask
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema
from werkzeug.routing import Rule

from portal.api import calls
from portal.api.calls import Call, Refusal
from portal.api.responses import Problem
from portal.errors.responses import WORDS
from portal.settings import Settings

VERSION = "1.0.0"
ARGUMENT = re.compile(r"<(?:(\w+)[^<>]*:)?(\w+)>")  # of a URL rule: <session_id>, <int:key_id>
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
ALWAYS: tuple[Refusal, ...] = (500, 503)
PROOFS = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key (`key_live_…`, `key_test_…`) or an access token of `POST /api/auth/token`.",
    },
    "operator": {
        "type": "http",
        "scheme": "bearer",
        "description": "An operator key (`opk_…`) of your own services, from `flask operator-keys create`.",
    },
    "session": {"type": "apiKey", "in": "cookie", "name": "session", "description": "A signed-in browser."},
    "signature": {
        "type": "apiKey",
        "in": "header",
        "name": "Stripe-Signature",
        "description": "Stripe's signature of the body.",
    },
}
Schema = dict[str, Any]
Shapes = dict[tuple[Any, JsonSchemaMode], Schema]


@dataclass(frozen=True)
class Operation:
    """A call with one of its paths."""

    method: str
    rule: Rule
    call: Call
    view: calls.View

    @property
    def path(self) -> str:
        """Return `/api/credits/session/{session_id}`."""
        return ARGUMENT.sub(r"{\2}", self.rule.rule)

    @property
    def room(self) -> str:
        """Return the call's section: `Credits`."""
        return self.view.__module__.split(".")[1].capitalize()

    @property
    def words(self) -> tuple[str, str]:
        """Return the docstring's first sentence, and the rest."""
        told = " ".join(inspect.cleandoc(self.view.__doc__ or "").split())
        first, _, rest = told.partition(". ")
        return first.removesuffix("."), rest


def operations(app: Flask) -> Iterator[Operation]:
    """Yield every JSON call, by path."""
    for rule in sorted(app.url_map.iter_rules(), key=lambda one: one.rule):
        view = app.view_functions[rule.endpoint]
        if call := calls.of(view):
            for method in METHODS:
                if method in (rule.methods or ()):
                    yield Operation(method, rule, call, view)


def build(app: Flask, settings: Settings) -> dict[str, Any]:
    """Build the document."""
    found = list(operations(app))
    shapes, definitions = _schemas(found)
    paths: dict[str, Any] = {}
    for one in found:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, shapes)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Portal", "version": VERSION, "description": DESCRIPTION},
        "servers": [{"url": settings.base_url}],
        "tags": [{"name": room} for room in sorted({one.room for one in found})],
        "paths": paths,
        "components": {"schemas": definitions, "securitySchemes": PROOFS},
    }


DESCRIPTION = (
    "Amounts are whole numbers in minor units with their currency; times are RFC 3339 in UTC. "
    "Errors are `application/problem+json` (RFC 9457)."
)


def _schemas(found: list[Operation]) -> tuple[Shapes, Schema]:
    """Return the schema of each model, and shared definitions. They are built together, so that no two names
    clash.
    """
    wanted: list[tuple[type[BaseModel], JsonSchemaMode]] = [(Problem, "serialization")]
    for one in found:
        inputs = (one.call.body, one.call.query)
        wanted += [(model, "validation") for model in inputs if model]
        wanted += [(one.call.answer, "serialization")] if one.call.answer else []
    shapes, definitions = models_json_schema(wanted, ref_template="#/components/schemas/{model}")
    return dict(shapes), definitions.get("$defs", {})


def _operation(one: Operation, shapes: Shapes) -> dict[str, Any]:
    summary, description = one.words
    call = one.call
    for holder, scope in (("A key", call.scope), ("An operator key", call.operator_scope)):
        if scope:
            description = f"{description} {holder} needs the scope `{scope}`.".strip()
    made: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", one.method.lower() + one.path).strip("_"),
        "tags": [one.room],
        "summary": summary,
        "description": description,
        "parameters": [*_of_path(one.rule), *_of_query(call), *_of_headers(call)],
        "responses": _responses(call, shapes),
        "security": [{proof: []} for proof in call.by],
    }
    if call.body:
        required = any(field.is_required() for field in call.body.model_fields.values())
        made["requestBody"] = {"required": required, "content": _json(shapes[call.body, "validation"])}
    return made


def _json(schema: Schema, kind: str = "application/json") -> dict[str, Any]:
    return {kind: {"schema": schema}}


def _of_path(rule: Rule) -> Iterator[dict[str, Any]]:
    for kind, name in ARGUMENT.findall(rule.rule):
        yield {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "integer" if kind == "int" else "string"},
        }


def _of_query(call: Call) -> Iterator[dict[str, Any]]:
    if call.query is None:
        return
    schema = call.query.model_json_schema()
    for name, field in schema.get("properties", {}).items():
        facts = {key: value for key, value in field.items() if key not in ("description", "title")}
        yield {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", ()),
            "description": field.get("description", ""),
            "schema": facts,
        }


def _of_headers(call: Call) -> Iterator[dict[str, Any]]:
    for name, words in call.headers:
        schema = {"type": "string"}
        yield {"name": name, "in": "header", "required": False, "description": words, "schema": schema}


def _responses(call: Call, shapes: Shapes) -> dict[str, Any]:
    assert call.answer is not None
    made = {"200": {"description": "OK", "content": _json(shapes[call.answer, "serialization"])}}
    problem = _json(shapes[Problem, "serialization"], "application/problem+json")
    for status, words in sorted(refusals(call).items()):
        made[str(status)] = {"description": "; ".join(words), "content": problem}
    return made


def refusals(call: Call) -> dict[int, list[str]]:
    """Return the error statuses of a call, each with `code`: title."""
    found: dict[int, list[str]] = {}
    for one in (*call.refusals, *ALWAYS):
        status, words = _refusal(one)
        if words not in found.setdefault(status, []):
            found[status].append(words)
    return found


def _refusal(one: Refusal) -> tuple[int, str]:
    if isinstance(one, int):
        return one, f"`{HTTPStatus(one).name.lower()}`: {WORDS[one][0]}"
    return one.status, f"`{one.code}`: {one.title}"
