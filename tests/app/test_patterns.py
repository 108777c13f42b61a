"""No regular expression takes long, whatever the input is."""

import importlib
import pkgutil
import re
import time

import pytest

import portal

LENGTH = 20_000
PIECES = [
    "a",
    "A",
    "1",
    "-",
    "_",
    ".",
    "@",
    "/",
    "=",
    ",",
    " ",
    "\t",
    "a@",
    "a.",
    "A1-",
    "-1",
    "1,",
    "key_live_",
    "t=1",
]
ENDS = ["", "!", "\n", "@", "-", "é"]
MOST_SECONDS = 0.25  # for twenty thousand characters; a pattern that is not linear takes many seconds


def patterns() -> dict[str, re.Pattern[str]]:
    """Every pattern that a module of the portal compiles once, by its name."""
    found = {}
    for info in pkgutil.walk_packages(portal.__path__, "portal."):
        if info.name.endswith("__main__") or info.name.startswith("portal.sandbox.spec"):
            continue
        module = importlib.import_module(info.name)
        for name, value in vars(module).items():
            if isinstance(value, re.Pattern):
                found[f"{info.name}.{name}"] = value
    return found


def attacks() -> list[str]:
    return [(piece * LENGTH)[:LENGTH] + end for piece in PIECES for end in ENDS]


@pytest.mark.parametrize("name", sorted(patterns()))
def test_a_pattern_takes_no_time_worth_attacking(name: str) -> None:
    pattern = patterns()[name]
    for text in attacks():
        began = time.process_time()
        pattern.fullmatch(text)
        pattern.sub("", text)
        took = time.process_time() - began
        assert took < MOST_SECONDS, (text[:20], text[-1:], took)


def test_all_of_them_are_tried() -> None:
    assert len(patterns()) > 15
