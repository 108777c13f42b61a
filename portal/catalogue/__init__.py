"""What is on sale, read from a TOML file in which amounts stand as people write them.

Every fault of a file is found at once, with its line. Nothing here knows the database or Stripe.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from portal import money
from portal.catalogue import lines
from portal.catalogue.shape import File, PlanTable, contradictions, cycles

INTERVALS: dict[str, Literal["month", "year"]] = {"monthly": "month", "yearly": "year"}


class BadCatalogue(Exception):
    """A catalogue that cannot be sold from; its text has a line for each fault: file, line, entry, words."""


@dataclass(frozen=True)
class Price:
    """What one cycle of a plan costs: `pro-monthly`. `amount` in minor units."""

    key: str
    lookup_key: str
    amount: int
    currency: str
    interval: Literal["month", "year"]


@dataclass(frozen=True)
class Plan:
    """A tier on sale. A higher position outranks a lower one where a customer has both."""

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
    on_dispute: Literal["keep", "suspend"]  # what a dispute of an invoice of it does to the customer
    position: int


@dataclass(frozen=True)
class Package:
    """Credits at one price, `amount` in minor units. The JSON API names it by its id or its key."""

    id: int
    key: str
    name: str
    credits: int
    amount: int


@dataclass(frozen=True)
class Custom:
    """Credits for an amount of the customer's choice; `minimum` and `maximum` in minor units."""

    credits_per_unit: int  # for one dollar, say
    minimum: int
    maximum: int


@dataclass(frozen=True)
class Meter:
    """Something counted: `unit_price` in the currency's major unit for each `per` of it."""

    key: str
    name: str
    unit_price: Decimal
    per: int


@dataclass(frozen=True)
class Catalogue:
    """Everything on sale, in the order in which it is shown. A markup of 0.15 adds 15 % to a cost."""

    currency: str
    markup: Decimal
    debit_upgrades: str  # `wait`: an upgrade by bank debit is given once it is paid; `now`: at once
    plans: tuple[Plan, ...]
    packages: tuple[Package, ...]
    custom: Custom
    meters: tuple[Meter, ...]


def read(path: Path) -> Catalogue:
    """The catalogue that a file holds. Raises BadCatalogue with every fault, sorted by line."""
    text = path.read_text(encoding="utf-8")
    data = _parsed(path.name, text)
    try:
        file = File.model_validate(data, context={"currency": _currency(data)})
    except ValidationError as error:
        faults = [lines.fault(entry) for entry in error.errors()]
        raise BadCatalogue(lines.placed(path.name, text, faults)) from None
    if faults := list(contradictions(file)):
        raise BadCatalogue(lines.placed(path.name, text, faults))
    return _catalogue(file)


def _parsed(name: str, text: str) -> dict[str, Any]:
    try:
        # Decimals stay exact: 0.15 is no sum of powers of two.
        return tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        at = re.search(r"at line (\d+)", str(error))
        line = at[1] if at else len(text.splitlines())
        raise BadCatalogue(f"{name}:{line}: {error}") from error


def _currency(data: dict[str, Any]) -> str:
    """The currency that amounts are checked in; a missing or odd one is a fault of its own."""
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
            Meter(key, meter.name, Decimal(meter.unit_price.removeprefix("$")), meter.per)
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
