"""The parameters that each operation implements. Stripe's other parameters are refused by name: none is
ignored.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from portal.sandbox import spec
from portal.sandbox.api.errors import StripeError
from portal.sandbox.api.wire import join

Json = dict[str, Any]


@dataclass(frozen=True)
class Given:
    """One value of a request. `pattern` is its parameter without numbers: items[][price] for items[0][price]."""

    pattern: str
    name: str
    value: str


def values(given: Any, kind: Any, pattern: str = "", name: str = "") -> Iterator[Given]:
    """Yield the individual values of a request's parameters; a map of texts such as metadata counts as one."""
    kind = fitting(given, kind)
    if not isinstance(given, dict) or not isinstance(kind, dict) or is_text_map(kind):
        yield Given(pattern, name, given if isinstance(given, str) else "")
    elif "*" in kind:
        for key, item in given.items():
            yield from values(item, kind["*"], f"{pattern}[]", join(name, key))
    elif "[]" in kind:
        for number, item in enumerate(given.values()):
            yield from values(item, kind["[]"], f"{pattern}[]", f"{name}[{number}]")
    else:
        kinds = {spec.plain(marked): inner for marked, inner in kind.items()}
        for key, inner in given.items():
            yield from values(inner, kinds.get(key, "s"), join(pattern, key), join(name, key))


def is_text_map(kind: Json) -> bool:
    """Return whether a declaration is a map of scalars, whose keys are the caller's own."""
    return "*" in kind and not isinstance(kind["*"], dict)


def fitting(given: Any, kind: Any) -> Any:
    """Return the alternative that matches a value."""
    if not isinstance(kind, dict) or "|" not in kind:
        return kind
    hashes = [fitting(given, one) for one in kind["|"]]
    if not isinstance(given, dict):
        return "s"
    known = [one for one in hashes if isinstance(one, dict) and given.keys() <= {spec.plain(n) for n in one}]
    lists = [one for one in hashes if isinstance(one, dict) and ("[]" in one or "*" in one)]
    return next(iter([*known, *lists]), "s")


@functools.cache
def supported(operation: str) -> dict[str, frozenset[str]]:
    """Return the parameters that an operation implements, each with its only allowed values (none: any)."""
    rows = (entry.partition("=") for entry in spec.supported(operation))
    return {name: frozenset(words.split("|")) if words else frozenset() for name, _, words in rows}


def entries(pattern: str) -> Iterator[str]:
    """Yield the entries that can allow a parameter: itself, or a whole hash that contains it, such as
    address[*].
    """
    yield pattern
    for place in range(len(pattern) - 1, 0, -1):
        if pattern[place] == "[":
            yield f"{pattern[:place]}[*]"


def refuse_others(operation: str, given: Json, takes: Json) -> None:
    """Raise StripeError for the first parameter, or value, that the sandbox would have to ignore."""
    known = supported(operation)
    for one in values(given, takes):
        entry = next((entry for entry in entries(one.pattern) if entry in known), None)
        if entry is None:
            raise StripeError(f"The sandbox does not support {one.name} yet", param=one.name)
        if entry and known[entry] and one.value not in known[entry]:
            raise StripeError(f"The sandbox does not support {one.name}={one.value} yet", param=one.name)


def patterns(kind: Any, at: str = "") -> Iterator[str]:
    """Yield the parameters of a declaration, including hashes."""
    if at:
        yield at
    if not isinstance(kind, dict) or "=" in kind or is_text_map(kind):
        return
    if "|" in kind:
        for one in kind["|"]:
            yield from patterns(one, at)
    elif "[]" in kind or "*" in kind:
        yield from patterns(kind.get("[]", kind.get("*")), f"{at}[]")
    else:
        for name, inner in kind.items():
            yield from patterns(inner, join(at, spec.plain(name)))
