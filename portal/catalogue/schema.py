"""The schema of a catalogue file: its tables, the format of each value, and consistency checks."""

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo

from portal import money

Where = tuple[str | int, ...]  # ("plans", "pro", "monthly"); a number is an index into a list of tables, from 0
Fault = tuple[Where, str]  # the position and the error message
FREE = "free"
# Steps of a monthly bill, and the line that credits take off it: names of a meter's own line beside them.
BILL_STEPS = ("draft", "final", "credits")


def _amount(words: str, info: ValidationInfo) -> str:
    assert info.context is not None
    money.parse(words, info.context["currency"])
    return words


def _decimal(words: str) -> str:
    if not re.fullmatch(r"\$?[0-9]+(\.[0-9]+)?", words) or not Decimal(words.removeprefix("$")):
        raise ValueError(f'"{words}" is not a price such as 0.10')
    return words


def _entitlement(value: Any) -> Any:
    if value is True or (isinstance(value, int | Decimal | str) and not isinstance(value, bool)):
        return float(value) if isinstance(value, Decimal) else value
    raise ValueError("is not true, a number or a text; leave out what the plan does not have")


Amount = Annotated[str, AfterValidator(_amount)]
UnitPrice = Annotated[str, AfterValidator(_decimal)]
Key = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Name = Annotated[str, Field(min_length=1, max_length=100)]
Sentence = Annotated[str, Field(min_length=1, max_length=200)]
Entitlement = Annotated[Any, AfterValidator(_entitlement)]
Natural = Annotated[int, Field(ge=1, le=1_000_000_000)]
Count = Annotated[int, Field(ge=0, le=1_000_000_000)]


class Table(BaseModel):
    """A table of the file. Unknown keys are refused, and values are not converted from other types."""

    # Most processes never read a catalogue.
    model_config = ConfigDict(strict=True, extra="forbid", defer_build=True)


class PriceTable(Table):
    """One billing cycle of a plan."""

    amount: Amount
    lookup_key: Annotated[str, Field(pattern=r"^[\w.:-]{1,200}$")]


class PlanTable(Table):
    """A plan. Its key is the table's name."""

    name: Name
    tier: Key
    description: Annotated[str, Field(max_length=500)] = ""
    features: Annotated[list[Sentence], Field(min_length=1)]
    entitlements: dict[Key, Entitlement] = {}
    monthly: PriceTable | None = None
    yearly: PriceTable | None = None
    trial_days: Annotated[int, Field(ge=0, le=730)] = 0
    trial_needs_card: bool = True
    on_dispute: Literal["keep", "suspend"] = "keep"
    also: Literal["product"] | None = None
    credits: Count = 0
    credits_in_trial: bool = False
    rollover: Annotated[int, Field(ge=0, le=120)] = 0
    included: dict[Key, Natural] = {}
    hidden: bool = False
    recommended: bool = False


class PackageTable(Table):
    """A package of credits."""

    id: Natural
    key: Key
    name: Name
    credits: Natural
    amount: Amount


class CustomTable(Table):
    """Credits for an amount of the customer's choice."""

    credits_per_unit: Natural
    minimum: Amount
    maximum: Amount


class MeterTable(Table):
    """A meter. Its key is the table's name."""

    name: Name
    unit_price: UnitPrice
    per: Natural = 1


class File(Table):
    """The whole file. `sample` marks the one that ships with the portal, so that it is not sold in live mode by
    mistake.
    """

    sample: bool = False
    currency: Annotated[str, Field(pattern="^[a-z]{3}$")]
    markup: Annotated[Decimal, Field(strict=False, ge=0, le=10)]
    debit_upgrades: Literal["wait", "now"] = "wait"
    plans: Annotated[dict[Key, PlanTable], Field(min_length=1)]
    packages: list[PackageTable] = []
    custom: CustomTable
    meters: dict[Key, MeterTable] = {}


def contradictions(file: File) -> Iterator[Fault]:
    """Yield errors about values that are valid on their own but contradict each other."""
    yield from _plan_contradictions(file)
    yield from _included_contradictions(file)
    yield from _repeated((("packages", n, "id"), package.id) for n, package in enumerate(file.packages))
    yield from _repeated((("packages", n, "key"), package.key) for n, package in enumerate(file.packages))
    for n, package in enumerate(file.packages):
        if not money.parse(package.amount, file.currency):
            yield ("packages", n, "amount"), "gives credits for nothing"
    for key in file.meters:
        if key in BILL_STEPS:
            yield ("meters", key), "is a name that monthly bills use themselves"
    least, most = (money.parse(words, file.currency) for words in (file.custom.minimum, file.custom.maximum))
    if not 0 < least <= most:
        yield ("custom", "minimum"), "is not between nothing and the maximum"


def _plan_contradictions(file: File) -> Iterator[Fault]:
    plans = file.plans.items()
    yield from _repeated((("plans", key, "tier"), plan.tier) for key, plan in plans)
    yield from _repeated((("plans", key, "recommended"), "yes") for key, plan in plans if plan.recommended)
    yield from _repeated(
        (("plans", key, cycle, "lookup_key"), price.lookup_key)
        for key, plan in plans
        for cycle, price in cycles(plan)
    )
    for key, plan in plans:
        if not cycles(plan):
            yield ("plans", key), "has no price: it needs monthly, yearly or both"
        if plan.tier == FREE and any(money.parse(price.amount, file.currency) for _, price in cycles(plan)):
            yield ("plans", key), "is the free plan and costs something"
        if plan.trial_days and not any(money.parse(price.amount, file.currency) for _, price in cycles(plan)):
            yield ("plans", key, "trial_days"), "is a free trial of what costs nothing"
    if FREE not in (plan.tier for _, plan in plans):
        yield ("plans",), f'has no plan of the tier "{FREE}", which everyone is on who has not bought another'


def _included_contradictions(file: File) -> Iterator[Fault]:
    for key, plan in file.plans.items():
        if plan.credits and plan.tier == FREE:
            yield ("plans", key, "credits"), "come with paid invoices, and the free plan has none"
        if plan.rollover and not plan.credits:
            yield ("plans", key, "rollover"), "keeps credits that the plan does not include"
        if plan.credits_in_trial and not (plan.credits and plan.trial_days):
            yield ("plans", key, "credits_in_trial"), "needs credits and trial_days"
        for meter in plan.included:
            if meter not in file.meters:
                yield ("plans", key, "included", meter), f"is not a meter: use {', '.join(file.meters) or 'none'}"


def _repeated(entries: Iterator[tuple[Where, object]]) -> Iterator[Fault]:
    first: dict[object, Where] = {}
    for where, value in entries:
        if first.setdefault(value, where) != where:
            yield where, f"is the same as that of {dotted(first[value][:-1])}"


def dotted(where: Where) -> str:
    """Return plans.pro.monthly, or packages.2 for the second item of a list."""
    return ".".join(str(part + 1) if isinstance(part, int) else part for part in where)


def cycles(plan: PlanTable) -> list[tuple[str, PriceTable]]:
    """List the prices of a plan, by cycle."""
    both = (("monthly", plan.monthly), ("yearly", plan.yearly))
    return [(cycle, price) for cycle, price in both if price is not None]
