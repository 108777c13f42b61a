"""The credit packages on sale, and the amount of one's own choice."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import select

from portal import catalogue as file
from portal import money
from portal.errors import InvalidInput, StripeUnavailable
from portal.extensions import db
from portal.models import CreditPackage
from portal.purchases import loading
from portal.purchases.items import Item
from portal.purchases.prices import Entry
from portal.settings import current_settings

CUSTOM = "custom"
CUSTOM_ID = 100  # beyond the catalogue's own ids, which begin with 1
NOTHING_CHARGED = "You were not charged."


@dataclass(frozen=True)
class Offer:
    """A package as the page shows it."""

    id: int
    key: str
    name: str
    credits: int
    amount: int
    currency: str
    per_credit: str
    is_best: bool


@dataclass(frozen=True)
class Limits:
    """What a custom amount is kept to: minor units of `currency`, in steps of `unit`."""

    minimum: int
    maximum: int
    unit: int
    credits_per_unit: int
    currency: str


def seed(catalogue: file.Catalogue, price_ids: dict[str, str]) -> list[str]:
    """Bring the packages to what the catalogue says, withdraw what it lost; a line for each. Flushes.

    `price_ids` are the live price ids that the environment gives, by catalogue key.
    """
    known = {row.key: row for row in db.session.execute(select(CreditPackage)).scalars()}
    lines = []
    for position, facts in enumerate(_wanted(catalogue, price_ids)):
        row = known.pop(facts["key"], None)
        done = loading.bring(CreditPackage, row, facts | {"position": position})
        lines.append(f"{done} {facts['name']} credits")
    for row in loading.withdraw(known.values()):
        lines.append(f"Withdrew {row.name} credits: the catalogue no longer has them")
    db.session.flush()
    return lines


def _wanted(catalogue: file.Catalogue, price_ids: dict[str, str]) -> Iterator[dict[str, Any]]:
    for package in catalogue.packages:
        yield {
            "id": package.id,
            "key": package.key,
            "name": package.name,
            "credits": package.credits,
            "amount": package.amount,
            "currency": catalogue.currency,
            "lookup_key": f"credits_{package.key}",
            "withdrawn": False,
        }
    yield {
        "id": CUSTOM_ID,
        "key": CUSTOM,
        "name": "Custom",
        "credits": catalogue.custom.credits_per_unit,
        "amount": 10 ** money.exponent(catalogue.currency),
        "currency": catalogue.currency,
        "lookup_key": "credits_custom",
        "is_custom": True,
        "withdrawn": False,
    } | ({"live_price_id": price_ids["credit"]} if "credit" in price_ids else {})


def entries() -> Iterator[Entry]:
    """What `flask catalogue push` brings to Stripe of the packages."""
    for package in _on_sale():
        key = "credit" if package.is_custom else f"credits-{package.key}"
        name = f"{package.credits:,} credits" + ("" if package.is_custom else f" ({package.name})")
        facts = {"credits": str(package.credits)}
        yield Entry(key, package, package, name, Decimal(package.amount), metadata=facts)


def offers(mode: str = "live") -> list[Offer]:
    """The packages that can be bought, in the catalogue's order; the cheapest credit is marked once."""
    found = [
        package
        for package in _on_sale()
        if not package.is_custom and package.stripe_id(mode) and not package.is_archived(mode)
    ]
    best = min(found, key=lambda package: (package.amount / package.credits, package.position), default=None)
    return [
        Offer(
            id=package.id,
            key=package.key,
            name=package.name,
            credits=package.credits,
            amount=package.amount,
            currency=package.currency,
            per_credit=money.price_per_credit(package.amount, package.credits, package.currency),
            is_best=package is best and len(found) > 1,
        )
        for package in found
    ]


def find(word: str | int, mode: str, *, amount: int | None = None, field: str = "package_id") -> Item:
    """What `word` names: a package's id or key, or `custom` with an amount in minor units.

    Raises InvalidInput about `field` (or `amount`) for what is unknown, withdrawn or out of bounds, and
    StripeUnavailable where its price is not at Stripe yet.
    """
    package = next(
        (one for one in _on_sale() if word in ((one.key,) if one.is_custom else (one.id, one.key))), None
    )
    if package is None or package.is_archived(mode):
        raise _refused(field, "There is no such package.")
    if amount is not None and not package.is_custom:
        raise _refused("amount", "A package has its own price; an amount goes with the custom choice alone.")
    stripe_id = package.stripe_id(mode)
    if stripe_id is None:
        raise StripeUnavailable(f"{package.name} cannot be bought yet: its price is not at Stripe.")
    quantity = units(amount) if package.is_custom else 1
    credits = package.credits * quantity
    return Item(
        key=package.key,
        kind="credits",
        name=f"{credits:,} credits",
        tier=None,
        amount=package.amount * quantity,
        currency=package.currency,
        interval=None,
        stripe_id=stripe_id,
        quantity=quantity,
        credits=credits,
    )


def limits() -> Limits:
    """The bounds of a custom amount."""
    return _limits(current_settings().catalogue)


@cache
def _limits(path: Path) -> Limits:
    catalogue = file.read(path)
    custom, unit = catalogue.custom, int(10 ** money.exponent(catalogue.currency))
    return Limits(custom.minimum, custom.maximum, unit, custom.credits_per_unit, catalogue.currency)


def units(amount: int | None) -> int:
    """How many units of the currency an amount in minor units is. Raises InvalidInput for what is not sold."""
    bounds = limits()
    least, most = (money.text(value, bounds.currency, short=True) for value in (bounds.minimum, bounds.maximum))
    if amount is None:
        raise _refused("amount", f"Give an amount from {least} to {most}.")
    if not bounds.minimum <= amount <= bounds.maximum:
        raise _refused("amount", f"The amount is not between {least} and {most}.")
    if amount % bounds.unit:
        raise _refused(
            "amount", f"Give a whole amount such as {money.text(25 * bounds.unit, bounds.currency, short=True)}."
        )
    return amount // bounds.unit


def _refused(field: str, words: str) -> InvalidInput:
    return InvalidInput(words, errors={field: words}, money=NOTHING_CHARGED)


def _on_sale() -> list[CreditPackage]:
    query = select(CreditPackage).filter_by(withdrawn=False).order_by(CreditPackage.position)
    return list(db.session.execute(query).scalars())
