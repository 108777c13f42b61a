"""Ids become parts of paths in one place, which accepts only ids."""

import ast
from pathlib import Path

import pytest

from portal.errors import StripeRefused
from portal.gateway import calls

GATEWAY = Path(calls.__file__).parent
CONSTANTS = {"path"}  # a loop's words of our own: refunds, disputes


@pytest.mark.parametrize("word", ["price_1SGa", "gold-plan", "Basic plan 2.0", "x" * 255, "tarif_für_alle"])
def test_ids_are_taken_those_too_that_people_chose(word: str) -> None:
    made = calls.part(word)
    assert made.isascii()
    assert not set("/?# ") & set(made)


@pytest.mark.parametrize(
    "word", ["", ".", "..", "../charges", "a/b", "a\\b", "a?b", "a#b", "a%2Fb", "a\nb", "a\0", "-", " ", "x" * 256]
)
def test_what_is_no_id_is_unknown_to_stripe_without_a_call(word: str) -> None:
    with pytest.raises(StripeRefused) as refused:
        calls.part(word)
    assert refused.value.stripe_code == "resource_missing"


def test_every_id_in_a_path_goes_through_that_place() -> None:
    seen = 0
    for file in GATEWAY.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.JoinedStr) or not ast.unparse(node)[2:].startswith("/"):
                continue
            for value in (one.value for one in node.values if isinstance(one, ast.FormattedValue)):
                is_part = isinstance(value, ast.Call) and ast.unparse(value.func) == "part"
                assert is_part or ast.unparse(value) in CONSTANTS, (file.name, ast.unparse(node))
                seen += is_part
    assert seen > 20
