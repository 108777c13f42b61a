"""docs/stripe-objects.md lists every field of the objects that decide about charges, and tests that exist."""

import re
from pathlib import Path

import pytest
import stripe

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/stripe-objects.md").read_text()
SECTIONS = {
    "Subscription": stripe.Subscription,
    "Subscription item": stripe.SubscriptionItem,
    "Subscription schedule": stripe.SubscriptionSchedule,
    "Invoice": stripe.Invoice,
    "Customer": stripe.Customer,
    "Price": stripe.Price,
}


def section(name: str) -> str:
    return PAGE.split(f"\n## {name}\n")[1].split("\n## ")[0]


def rows(name: str) -> list[list[str]]:
    lines = [line for line in section(name).splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


@pytest.mark.parametrize(("name", "kind"), SECTIONS.items(), ids=list(SECTIONS))
def test_each_field_is_listed_once(name: str, kind: type) -> None:
    known = {field for field in kind.__annotations__ if field.islower()}
    told = [field for row in rows(name) for field in re.findall(r"`([a-z_]+)`", row[0])]
    rest = section(name).split("\n\n", 2)[-1].replace("\n", " ")
    others = re.findall(
        r"`([a-z_]+)`", " ".join(re.findall(r"(?:Not shown|alone)[^|]*?: ([^|]*?)\.(?: |$)", rest))
    )
    assert sorted(told + others) == sorted(known)


@pytest.mark.parametrize("name", SECTIONS)
def test_each_test_exists(name: str) -> None:
    sources = [path.read_text() for path in (ROOT / "tests").rglob("*.py")]
    defined = {found for text in sources for found in re.findall(r"^ *def (\w+)\(", text, re.MULTILINE)}
    wanted = {test for row in rows(name) for test in re.findall(r"`(\w+)`", row[3])}
    assert wanted
    assert wanted - defined == set()
