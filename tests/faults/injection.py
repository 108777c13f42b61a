"""A fault at one claimed call: Stripe acts, and its response is lost, or is a recorded 500."""

import ast
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import portal
from portal.sync import idempotency
from tests.support.world import World

ROOT = Path(portal.__file__).parent
FAULTS: dict[str, dict[str, Any]] = {
    "cut": {"next": 2, "status": 200, "after": True},  # the SDK asks once more by itself
    "answered-500": {"next": 1, "status": 500, "acted": True},  # recorded: the SDK's second try gets it too
}


@dataclass(frozen=True, order=True)
class Site:
    """A call of `idempotency.call`: the function around it, the kind of claim and the step, as in `STEPS`."""

    place: str
    kind: str
    step: str

    def __str__(self) -> str:
        return f"{self.place}:{self.kind}:{self.step or 'only'}"


def places() -> set[str]:
    """Return every function of the portal that calls `idempotency.call`, as `billing.plan_change.steps._end`."""
    return {f"{module}.{function.name}" for module, function in _functions() if _claimed_calls(function)}


def _functions() -> Iterator[tuple[str, ast.FunctionDef]]:
    for path in ROOT.rglob("*.py"):
        if "sandbox" in path.relative_to(ROOT).parts:
            continue
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for node in ast.parse(path.read_text()).body:
            for function in node.body if isinstance(node, ast.ClassDef) else [node]:
                if isinstance(function, ast.FunctionDef):
                    yield module, function


def _claimed_calls(function: ast.AST) -> list[ast.Call]:
    return [
        node for node in ast.walk(function) if isinstance(node, ast.Call) and _dotted(node) == "idempotency.call"
    ]


def _dotted(call: ast.Call) -> str:
    return ast.unparse(call.func) if isinstance(call.func, ast.Attribute) else ""


def effects() -> set[str]:
    """Return the gateway's methods that change something at Stripe."""
    found = set()
    for path in (ROOT / "gateway").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and _asks_for_effect(node):
                found.add(node.name)
    return found - {"preview"}  # a POST that changes nothing


def _asks_for_effect(method: ast.FunctionDef) -> bool:
    calls = [node for node in ast.walk(method) if isinstance(node, ast.Call) and _dotted(node) == "self._ask"]
    return any(
        isinstance(call.args[0], ast.Constant) and call.args[0].value in ("post", "delete") for call in calls
    )


def unclaimed() -> set[tuple[str, str]]:
    """Return where one of them is called outside of `idempotency.call`: the function, and the method."""
    wanted, found = effects(), set()
    for module, function in _functions():
        inside = {id(node) for call in _claimed_calls(function) for node in ast.walk(call)}
        for node in ast.walk(function):
            method = _dotted(node).rpartition(".")[2] if isinstance(node, ast.Call) else ""
            if method in wanted and id(node) not in inside and not module.startswith("gateway"):
                found.add((f"{module}.{function.name}", method))
    return found


class Injected:
    """Adds a fault to the first call at a site. `hits`: how many calls were made there meanwhile."""

    def __init__(self, here: World, site: Site, fault: dict[str, Any]) -> None:
        self.here, self.site, self.fault, self.hits = here, site, fault, 0
        self._call = idempotency.call

    def call(self, claim: Any, ask: Callable[[str], Any], step: str = "", **more: Any) -> Any:
        """Replace `idempotency.call`."""
        caller = sys._getframe(1)
        place = f"{caller.f_globals['__name__'].removeprefix('portal.')}.{caller.f_code.co_name}"
        if Site(place, idempotency.WORDS[type(claim)], idempotency.step_of(claim, step)) != self.site:
            return self._call(claim, ask, step, **more)

        def faulty(key: str) -> Any:
            self.hits += 1
            if self.hits > 1:
                return ask(key)
            self.here.fail(**self.fault)
            try:
                return ask(key)
            finally:
                self.here.fail()

        return self._call(claim, faulty, step, **more)
