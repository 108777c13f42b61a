"""What Stripe's OpenAPI document says about parameters and objects, in two short notations."""

import copy
import functools
import json
import pathlib
import tomllib
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


def operations() -> list[str]:
    """The names of the operations that Stripe publishes."""
    return list(_read("parameters.json"))


@functools.cache
def acted_on() -> dict[str, dict[str, str]]:
    """The list as it is written: per operation its parameters with their tests; "everywhere" holds for all."""
    return tomllib.loads((HERE / "supported.toml").read_text())


@functools.cache
def supported(operation: str) -> dict[str, str]:
    """The parameters of an operation that the sandbox acts on, each with the test that shows what it does.

    Where Stripe takes them, every operation has expand[], and every list its pages and its times.
    """
    declared, everywhere = parameters(operation), acted_on()["everywhere"]
    shared = {entry: test for entry, test in everywhere.items() if _takes(declared, entry)}
    return shared | acted_on().get(operation, {})


def _takes(declared: dict[str, Any], entry: str) -> bool:
    return entry.split("[")[0] in {name.rstrip("!~") for name in declared}


def empty(kind: str) -> dict[str, Any]:
    """An object of this kind with every field that Stripe always sends."""
    return copy.deepcopy(_read("shapes.json").get(kind, {"empty": {"object": kind}})["empty"])


def expandable(kind: str) -> frozenset[str]:
    """The names of the fields of this kind of object that expand[] may name."""
    return frozenset(_read("shapes.json").get(kind, {"expandable": ()})["expandable"])
