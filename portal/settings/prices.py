"""Live prices that were created manually, matched with the catalogue's entries by the names of the settings.

`STRIPE_PRICE_<PLAN>_<CYCLE>`, `STRIPE_PRICE_ID_<METER>`, `STRIPE_PRICE_ID_CREDITS_<PACKAGE>`, and
`STRIPE_PRICE_ID_CREDIT` for custom amounts of credits.
"""

import re
import tomllib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

PREFIX = "STRIPE_PRICE_"
OTHERS = ("STRIPE_PRICE_MAP",)  # a setting of its own
PRICE = re.compile(r"price_[^\s:;,]+")
EXAMPLE = "price_1SGaX7LcPYf7t6osBWkbJgXG"
CREDIT = "credit"  # one unit of a custom amount
CYCLES = ("monthly", "yearly")


class Prices(NamedTuple):
    """Price ids by catalogue key, errors by variable, and the variables that match no entry."""

    ids: dict[str, str]
    faults: dict[str, str]
    unknown: tuple[str, ...]


def read(variables: Mapping[str, str], catalogue: Path) -> Prices:
    """Match these variables with the catalogue. The values of those that match nothing are not validated."""
    given = {name: value for name, value in variables.items() if name.startswith(PREFIX) and name not in OTHERS}
    if not given:
        return Prices({}, {}, ())
    known = names(catalogue)
    found = {name: value for name, value in given.items() if name in known}
    count = Counter(value for name, value in found.items() if "-" in known[name])
    faults = {}
    for name, value in found.items():
        if not PRICE.fullmatch(value):
            faults[name] = "does not have the right form"
        elif "-" in known[name] and count[value] > 1:
            faults[name] = "is the price of another plan, cycle or package too"
    ids = {known[name]: value for name, value in found.items()}
    return Prices(ids, faults, tuple(name for name in given if name not in known))


def line(name: str, problem: str) -> str:
    """Return the error message of one of these settings, with its format and an example."""
    return f"{name} {problem}: it takes the id of a Stripe price, for example {name}={EXAMPLE}"


def names(catalogue: Path) -> dict[str, str]:
    """Return the variable of each price of a catalogue file, with its catalogue key, such as `pro-monthly`.

    Errors in the file are ignored here, because they are reported when the catalogue is loaded.
    """
    try:
        data = tomllib.loads(catalogue.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    found = {"ID_CREDIT": CREDIT}
    for package in (entry.get("key") for entry in data.get("packages", ()) if isinstance(entry, dict)):
        found[f"ID_CREDITS_{package}"] = f"credits-{package}"
    for meter in _tables(data, "meters"):
        found[f"ID_{meter}"] = meter
    for plan, table in _tables(data, "plans").items():
        found |= {f"{plan}_{cycle}": f"{plan}-{cycle}" for cycle in CYCLES if cycle in table}
    return {PREFIX + name.upper(): key for name, key in found.items()}


def _tables(data: dict[str, Any], name: str) -> dict[str, dict[str, Any]]:
    found = data.get(name)
    return (
        {key: table for key, table in found.items() if isinstance(table, dict)} if isinstance(found, dict) else {}
    )
