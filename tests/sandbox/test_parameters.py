"""The list of supported parameters: each is Stripe's, and names a test that sends it (`calm` in conftest)."""

import ast
from pathlib import Path

import pytest

from portal.sandbox import spec
from portal.sandbox.api import parameters
from portal.sandbox.spec import table

HERE = Path(__file__).parent


def names_of_tests() -> set[str]:
    """The tests of this folder, as the list names them."""
    return {
        f"{path.stem}.{node.name}"
        for path in HERE.glob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


@pytest.mark.parametrize("operation", spec.acted_on())
def test_every_supported_parameter_names_a_test(operation: str) -> None:
    named, known = spec.acted_on()[operation], names_of_tests()
    assert {entry: test for entry, test in named.items() if test not in known} == {}


PUBLISHED = [name for name in spec.acted_on() if spec.parameters(name)]


@pytest.mark.parametrize("operation", PUBLISHED)
def test_every_supported_parameter_is_stripes(operation: str) -> None:
    known = set(parameters.patterns(spec.parameters(operation)))
    names = {entry.partition("=")[0] for entry in spec.acted_on()[operation]}
    assert {name for name in names if name.removesuffix("[*]") not in known} == set()


def test_the_page_about_the_sandbox_lists_what_is_modelled() -> None:
    page = table.PAGE.read_text()
    assert page == table.written(page), "run: python -m portal.sandbox.spec.table"
