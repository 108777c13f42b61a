"""The layout of the API page: calls by section, each with its fields, responses, errors and an example."""

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

Schema = dict[str, Any]
Definitions = dict[str, Schema]

PROOFS = {
    "bearer": "API key or access token",
    "operator": "Operator key",
    "session": "A signed-in browser",
    "signature": "Signed by Stripe",
}
PROBLEM = "application/problem+json"


@dataclass(frozen=True)
class Field:
    """A field of a request or response."""

    name: str
    type: str
    required: bool
    description: str


@dataclass(frozen=True)
class Shown:
    """A call as the page shows it."""

    anchor: str
    method: str
    path: str
    summary: str
    description: str
    proof: str
    inputs: tuple[Field, ...]
    outputs: tuple[Field, ...]
    refusals: tuple[tuple[str, str], ...]  # status and text
    example: str


def rooms(document: Schema) -> dict[str, list[Shown]]:
    """Return every call, by section."""
    definitions = document["components"]["schemas"]
    found: dict[str, list[Shown]] = {tag["name"]: [] for tag in document["tags"]}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            base = document["servers"][0]["url"]
            found[operation["tags"][0]].append(_shown(base, path, method.upper(), operation, definitions))
    return found


def _shown(base: str, path: str, method: str, operation: Schema, definitions: Definitions) -> Shown:
    body = _body(operation.get("requestBody"), definitions)
    answer = _resolved(operation["responses"]["200"]["content"]["application/json"]["schema"], definitions)
    given = (PROOFS[proof] for entry in operation["security"] for proof in entry)
    return Shown(
        anchor=operation["operationId"],
        method=method,
        path=path,
        summary=operation["summary"],
        description=operation["description"],
        proof=", ".join(given) or "Open to everyone",
        inputs=(*map(_parameter, operation["parameters"]), *_fields(body, definitions)),
        outputs=tuple(_fields(answer, definitions)),
        refusals=tuple(
            (status, r["description"]) for status, r in operation["responses"].items() if status != "200"
        ),
        example=_curl(f"{base}{path}", method, operation, example(body, definitions) if body else None),
    )


def _body(request_body: Schema | None, definitions: Definitions) -> Schema:
    if request_body is None:
        return {}
    return _resolved(request_body["content"]["application/json"]["schema"], definitions)


def _resolved(schema: Schema, definitions: Definitions) -> Schema:
    name = schema.get("$ref", "").rpartition("/")[2]
    return definitions[name] if name else schema


def _parameter(given: Schema) -> Field:
    return Field(given["name"], type_of(given["schema"]), given["required"], given.get("description", ""))


def _fields(schema: Schema, definitions: Definitions, before: str = "") -> Iterator[Field]:
    """Yield the fields of an object, including nested ones by path: `session.id`, `events[].meter`."""
    if schema.get("type") == "array":
        yield from _fields(_resolved(schema["items"], definitions), definitions, f"{before}[].")
    for name, field in schema.get("properties", {}).items():
        label = before + name
        required = name in schema.get("required", ())
        inner = _resolved(field, definitions)
        yield Field(label, type_of(inner), required, _meaning(field))
        items = _resolved(inner.get("items", {}), definitions)
        if inner.get("properties"):
            yield from _fields(inner, definitions, f"{label}.")
        elif items.get("properties"):
            yield from _fields(items, definitions, f"{label}[].")


def _meaning(field: Schema) -> str:
    """Return a field's description; for a nullable field, that of its non-null type."""
    sides = (field, *field.get("anyOf", ()))
    return next((side["description"] for side in sides if side.get("description")), "")


def code(words: str) -> Markup:
    """Return text with `names` as HTML."""
    parts = re.split("`([^`]+)`", words)  # every second part was inside backticks
    return Markup("").join(
        Markup("<code>{}</code>").format(one) if at % 2 else one for at, one in enumerate(parts)
    )


def type_of(schema: Schema) -> str:
    """Return a schema's type as text."""
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return " or ".join(json.dumps(one) for one in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(type_of(one) for one in schema["anyOf"]))
    if schema.get("format") == "date-time":
        return "time"
    words = {"object": "object", "array": "list", "string": "text", "integer": "whole number", None: "object"}
    return words.get(schema.get("type"), str(schema.get("type")))


def example(schema: Schema, definitions: Definitions) -> Any:
    """Return an example for a schema: its own, else one made of its required fields."""
    schema = _resolved(schema, definitions)
    if schema.get("examples"):
        return schema["examples"][0]
    if "const" in schema or "enum" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    if "anyOf" in schema:
        return example(schema["anyOf"][0], definitions)
    if schema.get("type") == "array":
        return [example(schema["items"], definitions)]
    if schema.get("type") in ("integer", "number"):
        return 1
    if schema.get("type") == "string":
        return "2026-12-01T00:00:00Z" if schema.get("format") == "date-time" else "text"
    shown = (name for name in schema.get("properties", {}) if _is_shown(name, schema))
    return {name: example(schema["properties"][name], definitions) for name in shown}


def _is_shown(name: str, schema: Schema) -> bool:
    return name in schema.get("required", ()) or bool(schema["properties"][name].get("examples"))


def _curl(url: str, method: str, operation: Schema, body: Any) -> str:
    """Return a command that tries the call."""
    lines = [f"curl {'' if method == 'GET' else f'-X {method} '}{shlex.quote(url)}"]
    if {"bearer": []} in operation["security"]:
        lines.append('-H "Authorization: Bearer $KEY"')
    elif {"operator": []} in operation["security"]:
        lines.append('-H "Authorization: Bearer $OPERATOR_KEY"')
    if body:
        lines.append("-H 'Content-Type: application/json'")
        lines.append(f"-d {shlex.quote(json.dumps(body))}")
    return " \\\n  ".join(lines)
