"""Rooms, files and functions stay small enough to be read at once."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import portal

ROOT = Path(portal.__file__).parent.parent
FOLDERS = ("portal", "tests", "bench", ".ci")
SOURCES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("room", sorted(path.parent for path in (ROOT / "portal").rglob("__init__.py")))
def test_a_room_has_at_most_twelve_modules(room: Path) -> None:
    modules = [path for path in room.glob("*.py") if path.name not in ("__init__.py", "__main__.py")]
    if room.name not in ("models", "resources"):  # a file per noun, however many there are
        assert len(modules) <= 12, sorted(path.stem for path in modules)


def test_a_file_has_at_most_300_lines() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    assert {str(path.relative_to(ROOT)): length for path, length in lengths.items() if length > 300} == {}


def test_a_function_has_at_most_40_lines() -> None:
    assert [found for path in SOURCES for found in _long_functions(path)] == []


def _long_functions(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > 40:
                yield f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {length}"
