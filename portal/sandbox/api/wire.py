"""Form parameters as Stripe reads them: nested by brackets, typed, and refused by name."""

import re
from typing import Any

from portal.sandbox.api.errors import StripeError

Json = dict[str, Any]
REMOVED_IN = "2026-09-30"  # endive took away the parameters that the specification marks as removed
SCALARS = {"i": ("integer", r"-?\d+"), "n": ("decimal", r"-?\d+(\.\d+)?"), "b": ("boolean", r"(?i)true|false")}


def nest(pairs: list[tuple[str, str]]) -> Json:
    """Turn [("items[0][price]", "p")] into {"items": {"0": {"price": "p"}}}; [] counts by itself."""
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
    """Reads one request's parameters against their declaration."""

    def __init__(self, version: str) -> None:
        self.version = version

    def fields(self, given: Json, declared: Json, at: str = "") -> Json:
        """The typed parameters. Raises StripeError for unknown, missing and ill-typed ones."""
        names = {name.rstrip("!~"): (name, kind) for name, kind in declared.items()}
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
        return declared is not None and not (declared[0].endswith("~") and self.version >= REMOVED_IN)

    def value(self, given: Any, kind: Any, at: str) -> Any:
        """One parameter's value, read as its declaration says."""
        if isinstance(kind, str):
            return self.scalar(given, kind, at)
        if "|" in kind:
            return self.either(given, kind["|"], at)
        if "=" in kind:
            return self.choice(given, kind["="], at)
        if given == "":
            return None  # the way to unset a hash or a list
        if not isinstance(given, dict):
            raise StripeError(f"Invalid {'array' if '[]' in kind else 'object'}", param=at)
        if "[]" in kind:
            return [self.value(item, kind["[]"], join(at, name)) for name, item in given.items()]
        if "*" in kind:
            return {name: self.value(item, kind["*"], join(at, name)) for name, item in given.items()}
        return self.fields(given, kind, at)

    def scalar(self, given: Any, kind: str, at: str) -> Any:
        """A text, number or truth value; an empty one unsets."""
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
        """One of a few words."""
        if given in [str(choice) for choice in choices]:
            return given or None
        listed = ", ".join(str(choice) for choice in choices if choice != "")
        raise StripeError(f"Invalid {at}: must be one of {listed}", param=at)

    def either(self, given: Any, kinds: list[Any], at: str) -> Any:
        """The first alternative that fits; when none does, the complaint of the one that went deepest."""
        complaints: list[StripeError] = []
        for kind in kinds:
            try:
                return self.value(given, kind, at)
            except StripeError as complaint:
                complaints.append(complaint)
        raise max(complaints, key=lambda complaint: len(complaint.body["param"] or ""))


def join(at: str, name: str) -> str:
    """The name of a nested parameter."""
    return f"{at}[{name}]" if at else name


def unknown_parameters(names: list[str]) -> StripeError:
    """Stripe's refusal of parameters that it doesn't know."""
    words = "parameter" if len(names) == 1 else "parameters"
    return StripeError(f"Received unknown {words}: {', '.join(names)}", code="parameter_unknown", param=names[0])


def missing_parameter(name: str) -> StripeError:
    """Stripe's refusal of a request without something that it needs."""
    return StripeError(f"Missing required param: {name}.", code="parameter_missing", param=name)


def empty_parameter(name: str) -> StripeError:
    """Stripe's refusal of an empty value for something that it needs."""
    words = (
        f"You passed an empty string for '{name}'. We assume empty values are an attempt to unset a "
        f"parameter; however '{name}' cannot be unset. You should remove '{name}' from your request or supply a "
        "non-empty value."
    )
    return StripeError(words, code="parameter_invalid_empty", param=name)
