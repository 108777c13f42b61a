"""Parsing of form parameters as at Stripe: nested by brackets, typed, and refused by name."""

import re
from typing import Any

from portal.sandbox import spec
from portal.sandbox.api.errors import StripeError

Json = dict[str, Any]
SCALARS = {"i": ("integer", r"-?\d+"), "n": ("decimal", r"-?\d+(\.\d+)?"), "b": ("boolean", r"(?i)true|false")}


def nest(pairs: list[tuple[str, str]]) -> Json:
    """Turn [("items[0][price]", "p")] into {"items": {"0": {"price": "p"}}}; [] is numbered automatically."""
    tree: Json = {}
    for name, value in pairs:
        path = [name.split("[", 1)[0], *re.findall(r"\[([^\]]*)\]", name)]
        node = tree
        for part, following in zip(path, [*path[1:], None], strict=True):
            key = part or str(len(node))
            if following is None:
                node[key] = value
            else:
                inner = node.setdefault(key, {})
                node[key] = node = inner if isinstance(inner, dict) else {}
    return tree


class Reader:
    """Parses one request's parameters by their declaration."""

    def __init__(self, version: str) -> None:
        self.version = version

    def fields(self, given: Json, declared: Json, at: str = "") -> Json:
        """Return the typed parameters. Raises StripeError for unknown, missing and invalid ones."""
        names = {spec.plain(name): (name, kind) for name, kind in declared.items()}
        unknown = [join(at, name) for name in given if not self._takes(names.get(name))]
        if unknown:
            raise unknown_parameters(unknown)
        for name in given.keys() & names.keys():
            if given[name] == "" and names[name][0].endswith("!"):
                raise empty_parameter(join(at, name))
        for name, (marked, _) in names.items():
            if marked.endswith("!") and name not in given:
                raise missing_parameter(join(at, name))
        return {name: self.value(given[name], names[name][1], join(at, name)) for name in given}

    def _takes(self, declared: tuple[str, Any] | None) -> bool:
        if declared is None:
            return False
        removed = spec.removed_in(declared[0])
        return removed is None or self.version < removed

    def value(self, given: Any, kind: Any, at: str) -> Any:
        """Return one parameter's value, parsed by its declaration."""
        if isinstance(kind, str):
            return self.scalar(given, kind, at)
        if "|" in kind:
            return self.either(given, kind["|"], at)
        if "=" in kind:
            return self.choice(given, kind["="], at)
        if given == "":
            return None  # this unsets a hash or a list
        if not isinstance(given, dict):
            raise StripeError(f"Invalid {'array' if '[]' in kind else 'object'}", param=at)
        if "[]" in kind:
            return [self.value(item, kind["[]"], join(at, name)) for name, item in given.items()]
        if "*" in kind:
            return {name: self.value(item, kind["*"], join(at, name)) for name, item in given.items()}
        return self.fields(given, kind, at)

    def scalar(self, given: Any, kind: str, at: str) -> Any:
        """Return a text, number or boolean; an empty one unsets."""
        if isinstance(given, dict):
            raise StripeError("Invalid string", param=at)
        if given == "":
            return None
        if kind == "s":
            return given
        word, shape = SCALARS[kind]
        if not re.fullmatch(shape, given):
            raise StripeError(
                f"Invalid {word}: {given}", code=f"parameter_invalid_{word}" if kind == "i" else None, param=at
            )
        return {"i": int, "n": str, "b": lambda text: text.lower() == "true"}[kind](given)  # type: ignore[operator]

    def choice(self, given: Any, choices: list[Any], at: str) -> Any:
        """Return one of the allowed words."""
        if given in [str(choice) for choice in choices]:
            return given or None
        listed = ", ".join(str(choice) for choice in choices if choice != "")
        raise StripeError(f"Invalid {at}: must be one of {listed}", param=at)

    def either(self, given: Any, kinds: list[Any], at: str) -> Any:
        """Return the first alternative that matches; if none does, raise the error of the one that matched
        deepest.
        """
        complaints: list[StripeError] = []
        for kind in kinds:
            try:
                return self.value(given, kind, at)
            except StripeError as complaint:
                complaints.append(complaint)
        raise max(complaints, key=lambda complaint: len(complaint.body["param"] or ""))


def join(at: str, name: str) -> str:
    """Return the name of a nested parameter."""
    return f"{at}[{name}]" if at else name


def unknown_parameters(names: list[str]) -> StripeError:
    """Return Stripe's error for unknown parameters."""
    words = "parameter" if len(names) == 1 else "parameters"
    return StripeError(f"Received unknown {words}: {', '.join(names)}", code="parameter_unknown", param=names[0])


def missing_parameter(name: str) -> StripeError:
    """Return Stripe's error for a missing required parameter."""
    return StripeError(f"Missing required param: {name}.", code="parameter_missing", param=name)


def empty_parameter(name: str) -> StripeError:
    """Return Stripe's error for an empty required parameter."""
    words = (
        f"You passed an empty string for '{name}'. We assume empty values are an attempt to unset a "
        f"parameter; however '{name}' cannot be unset. You should remove '{name}' from your request or supply a "
        "non-empty value."
    )
    return StripeError(words, code="parameter_invalid_empty", param=name)
