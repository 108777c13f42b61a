"""The catalogue of everything on sale, read from a TOML file in which people write amounts in decimal form.

All errors in a file are reported at once, with their lines. Nothing here uses the database or Stripe.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from portal import money
from portal.catalogue.schema import Fault, File, PlanTable, Where, contradictions, cycles, dotted

INTERVALS: dict[str, Literal["month", "year"]] = {"monthly": "month", "yearly": "year"}


class BadCatalogue(Exception):
    """An invalid catalogue. The message has a line for each error: file, line, entry, explanation."""


@dataclass(frozen=True)
class Price:
    """The price of one billing cycle of a plan, such as `pro-monthly`. `amount` is in minor units."""

    key: str
    lookup_key: str
    amount: int
    currency: str
    interval: Literal["month", "year"]


@dataclass(frozen=True)
class Plan:
    """A tier on sale. If a customer has two plans, the one with the higher position counts."""

    key: str
    tier: str
    name: str
    description: str
    hidden: bool
    recommended: bool
    features: tuple[str, ...]
    entitlements: Mapping[str, Any]  # name → true, number or text
    prices: tuple[Price, ...]
    trial_days: int
    trial_needs_card: bool
    on_dispute: Literal["keep", "suspend"]  # what a dispute of one of its invoices does to the customer
    also: Literal["product"] | None  # `product`: every price of its product at Stripe gives the plan
    credits: int  # given for each paid month
    credits_in_trial: bool
    rollover: int  # for how many months more unused ones are kept
    included: Mapping[str, int]  # meter → units of each calendar month
    position: int


@dataclass(frozen=True)
class Package:
    """Credits at one price, `amount` in minor units. The JSON API accepts its id or its key."""

    id: int
    key: str
    name: str
    credits: int
    amount: int


@dataclass(frozen=True)
class Custom:
    """Credits for an amount of the customer's choice; `minimum` and `maximum` in minor units."""

    credits_per_unit: int  # per unit of the currency, such as one dollar
    minimum: int
    maximum: int


@dataclass(frozen=True)
class Meter:
    """A metered unit: `unit_price` in the currency's major unit for each `per` units."""

    key: str
    name: str
    unit_price: Decimal
    per: int


@dataclass(frozen=True)
class Catalogue:
    """Everything on sale, in display order. A markup of 0.15 adds 15 % to a cost."""

    currency: str
    markup: Decimal
    debit_upgrades: str  # `wait`: an upgrade by bank debit takes effect once paid; `now`: immediately
    plans: tuple[Plan, ...]
    packages: tuple[Package, ...]
    custom: Custom
    meters: tuple[Meter, ...]


def read(path: Path) -> Catalogue:
    """Return the catalogue in a file. Raises BadCatalogue with every error, sorted by line."""
    text = path.read_text(encoding="utf-8")
    data = _parsed(path.name, text)
    try:
        file = File.model_validate(data, context={"currency": _currency(data)})
    except ValidationError as error:
        faults = [_fault(entry) for entry in error.errors()]
        raise BadCatalogue(_placed(path.name, text, faults)) from None
    if faults := list(contradictions(file)):
        raise BadCatalogue(_placed(path.name, text, faults))
    return _catalogue(file)


def _parsed(name: str, text: str) -> dict[str, Any]:
    try:
        # Decimals stay exact: 0.15 has no exact binary form.
        return tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        at = re.search(r"at line (\d+)", str(error))
        line = at[1] if at else len(text.splitlines())
        raise BadCatalogue(f"{name}:{line}: {error}") from error


def _currency(data: dict[str, Any]) -> str:
    """Return the currency that amounts are checked in. A missing or invalid one is reported as an error of its
    own.
    """
    given = data.get("currency")
    return given if isinstance(given, str) and re.fullmatch("[a-z]{3}", given) else "usd"


def _catalogue(file: File) -> Catalogue:
    return Catalogue(
        currency=file.currency,
        markup=file.markup,
        debit_upgrades=file.debit_upgrades,
        plans=tuple(_plan(n, key, plan, file.currency) for n, (key, plan) in enumerate(file.plans.items())),
        packages=tuple(
            Package(**package.model_dump() | {"amount": money.parse(package.amount, file.currency)})
            for package in file.packages
        ),
        custom=Custom(
            credits_per_unit=file.custom.credits_per_unit,
            minimum=money.parse(file.custom.minimum, file.currency),
            maximum=money.parse(file.custom.maximum, file.currency),
        ),
        meters=tuple(
            Meter(key=key, **meter.model_dump() | {"unit_price": Decimal(meter.unit_price.removeprefix("$"))})
            for key, meter in file.meters.items()
        ),
    )


def _plan(position: int, key: str, plan: PlanTable, currency: str) -> Plan:
    facts = plan.model_dump(exclude={"monthly", "yearly", "features"})
    prices = tuple(
        Price(
            key=f"{key}-{cycle}",
            lookup_key=price.lookup_key,
            amount=money.parse(price.amount, currency),
            currency=currency,
            interval=INTERVALS[cycle],
        )
        for cycle, price in cycles(plan)
    )
    return Plan(key=key, position=position, features=tuple(plan.features), prices=prices, **facts)


def _fault(entry: Any) -> Fault:
    """Convert one of pydantic's errors, in our words if we have plainer ones."""
    where = tuple(part for part in entry["loc"] if part != "[key]")
    if entry["type"] == "value_error":
        return where, str(entry["ctx"]["error"])
    known = {"missing": "is missing", "extra_forbidden": "is not a key that belongs here"}
    return where, known.get(entry["type"], entry["msg"].replace("Input should", "should"))


def _placed(name: str, text: str, faults: Iterable[Fault]) -> str:
    """Return a line for each error, in the file's order: name, line, entry, message."""
    lines = _lines(text)
    found = sorted((_line(lines, where), dotted(where), words) for where, words in faults)
    return "\n".join(f"{name}:{line}: {where}: {words}" for line, where, words in found)


def _line(lines: dict[Where, int], where: Where) -> int:
    """Return an entry's line; if it has none, the line of the table that contains it or lacks it."""
    while where and where not in lines:
        where = where[:-1]
    return lines.get(where, 1)


def _lines(text: str) -> dict[Where, int]:
    """Return the line of every table and key."""
    found: dict[Where, int] = {}
    table: Where = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*(\[\[?)\s*([\w.-]+)\s*\]", line):
            table = tuple(header[2].split("."))
            if header[1] == "[[":
                table += (sum(1 for known in found if known[:-1] == table and isinstance(known[-1], int)),)
            found[table] = number
        elif key := re.match(r"\s*([\w-]+)\s*=", line):
            found[(*table, key[1])] = number
    return found
