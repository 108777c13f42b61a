"""The import rules of pyproject.toml hold in every room, including a new one."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest

import portal

ROOT = Path(portal.__file__).parent.parent
ROOMS = sorted(path.name for path in (ROOT / "portal").iterdir() if (path / "__init__.py").exists())
PLANTED = "planted"


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What import-linter says of a copy where a module of each room, and a new room, break each rule."""
    copy = tmp_path_factory.mktemp("rooms")
    ignore = shutil.ignore_patterns("__pycache__", "*.json", "*.txt")
    shutil.copytree(ROOT / "portal", copy / "portal", ignore=ignore)
    shutil.copy(ROOT / "pyproject.toml", copy)
    (copy / "portal" / "new_room").mkdir()
    (copy / "portal" / "new_room" / "__init__.py").touch()
    for room in (*ROOMS, "new_room"):
        lines = ["import stripe", "import portal.cli"]
        if room != "sandbox":
            lines.append("import portal.sandbox.account")
        (copy / "portal" / room / f"{PLANTED}.py").write_text("\n".join(lines) + "\n")
    command = [Path(sys.executable).parent / "lint-imports", "--no-logo", "--no-cache"]
    run = subprocess.run(command, cwd=copy, capture_output=True, text=True, env={"COLUMNS": "300"}, check=False)
    assert run.returncode == 1, run.stdout + run.stderr
    return re.sub(r"\s+", " ", run.stdout)


@pytest.mark.parametrize("room", [room for room in ROOMS if room != "gateway"])
def test_only_the_gateway_imports_the_stripe_sdk(broken: str, room: str) -> None:
    assert f"portal.{room}.{PLANTED} -> stripe" in broken


@pytest.mark.parametrize("room", [room for room in ROOMS if room != "sandbox"])
def test_no_room_imports_the_sandbox(broken: str, room: str) -> None:
    assert f"portal.{room}.{PLANTED} -> portal.sandbox" in broken


@pytest.mark.parametrize("room", ROOMS)
def test_no_room_imports_one_above_it(broken: str, room: str) -> None:
    assert f"portal.{room}.{PLANTED} -> portal.cli" in broken


def test_a_new_room_needs_a_place_among_the_layers(broken: str) -> None:
    assert "new_room" in broken


def test_no_modules_import_each_other() -> None:
    graph = grimp.build_graph("portal", exclude_type_checking_imports=True)
    assert list(_circles(graph)) == []


def _circles(graph: grimp.ImportGraph) -> Iterator[list[str]]:
    """Every group of modules from each of which the others are reached: Tarjan's algorithm."""
    numbers: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []

    def visit(module: str) -> Iterator[list[str]]:
        numbers[module] = lowest[module] = len(numbers)
        stack.append(module)
        for imported in graph.find_modules_directly_imported_by(module):
            if imported not in numbers:
                yield from visit(imported)
                lowest[module] = min(lowest[module], lowest[imported])
            elif imported in stack:
                lowest[module] = min(lowest[module], numbers[imported])
        if lowest[module] == numbers[module]:
            circle = stack[stack.index(module) :]
            del stack[stack.index(module) :]
            if len(circle) > 1:
                yield circle

    for module in sorted(graph.modules):
        if module not in numbers:
            yield from visit(module)
