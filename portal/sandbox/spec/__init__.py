"""Stripe's OpenAPI document: parameters and objects, in two compact notations."""

import functools
import json
import marshal
import pathlib
import tomllib
from typing import Any

HERE = pathlib.Path(__file__).parent
NEWEST = "2026-09-30"  # the version that removed the parameters marked with "~" alone


@functools.cache
def _read(name: str) -> dict[str, Any]:
    entries: dict[str, Any] = json.loads((HERE / name).read_text())
    return entries


def parameters(operation: str) -> dict[str, Any]:
    """Return the parameters of an operation such as "POST /v1/customers"; none if Stripe doesn't publish it."""
    asked: dict[str, Any] = _read("parameters.json").get(operation, {})
    return asked


def operations() -> list[str]:
    """Return the names of the operations that Stripe publishes."""
    return list(_read("parameters.json"))


@functools.cache
def acted_on() -> dict[str, dict[str, str]]:
    """Return the list as written: per operation its parameters with their tests; "everywhere" applies to all."""
    return tomllib.loads((HERE / "supported.toml").read_text())


@functools.cache
def supported(operation: str) -> dict[str, str]:
    """Return the parameters that the sandbox implements for an operation, each with its test.

    Every operation has expand[], and every list its pages and its times, if Stripe accepts them.
    """
    declared, everywhere = parameters(operation), acted_on()["everywhere"]
    shared = {entry: test for entry, test in everywhere.items() if _takes(declared, entry)}
    return shared | acted_on().get(operation, {})


def _takes(declared: dict[str, Any], entry: str) -> bool:
    return entry.split("[")[0] in {plain(name) for name in declared}


def plain(marked: str) -> str:
    """Return the name of a declared parameter without its marks."""
    return marked.rstrip("!").partition("~")[0]


def removed_in(marked: str) -> str | None:
    """Return the API version that removed a declared parameter; None for one that exists."""
    _, mark, version = marked.partition("~")
    return (version or NEWEST) if mark else None


def empty(kind: str) -> dict[str, Any]:
    """Return an object of this kind with every field that Stripe always sends."""
    made: dict[str, Any] = marshal.loads(_empty(kind))  # noqa: S302 - our own bytes, four times faster than deepcopy
    return made


@functools.cache
def _empty(kind: str) -> bytes:
    return marshal.dumps(_read("shapes.json").get(kind, {"empty": {"object": kind}})["empty"])


def expandable(kind: str) -> frozenset[str]:
    """Return the fields of this kind of object that expand[] can name."""
    return frozenset(_read("shapes.json").get(kind, {"expandable": ()})["expandable"])
