"""What Stripe's OpenAPI document says about parameters and objects, in two short notations."""

import copy
import functools
import json
import pathlib
from typing import Any

HERE = pathlib.Path(__file__).parent


@functools.cache
def _read(name: str) -> dict[str, Any]:
    entries: dict[str, Any] = json.loads((HERE / name).read_text())
    return entries


def parameters(operation: str) -> dict[str, Any]:
    """The parameters that an operation such as "POST /v1/customers" takes; none if Stripe doesn't publish it."""
    asked: dict[str, Any] = _read("parameters.json").get(operation, {})
    return asked


def empty(kind: str) -> dict[str, Any]:
    """An object of this kind with every field that Stripe always sends."""
    return copy.deepcopy(_read("shapes.json").get(kind, {"empty": {"object": kind}})["empty"])


def expandable(kind: str) -> frozenset[str]:
    """The names of the fields of this kind of object that expand[] may name."""
    return frozenset(_read("shapes.json").get(kind, {"expandable": ()})["expandable"])
