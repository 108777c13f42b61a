"""The credit packages on sale, and the custom amount."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import select

from portal import gateway, money
from portal.catalogue import catalogue_file
from portal.catalogue.items import Archived, Item
from portal.catalogue.prices import Entry, given_price
from portal.enums import Mode
from portal.errors import InvalidInput, StripeUnavailable
from portal.extensions import db
from portal.models import CreditPackage
from portal.settings import current_settings
from portal.settings.prices import CREDIT

CUSTOM = "custom"
CUSTOM_ID = 100  # outside the range of the catalogue's own ids, which begin with 1
NOTHING_CHARGED = "You were not charged."


@dataclass(frozen=True)
class Offer:
    """A package as the page displays it."""

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
    """The limits of a custom amount, in minor units of `currency`, in steps of `unit`."""

    minimum: int
    maximum: int
    unit: int
    credits_per_unit: int
    currency: str


def facts(catalogue: catalogue_file.Catalogue, price_ids: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Yield the columns of each package of the catalogue, in its order, then of the custom amount.

    `price_ids` are the live price ids from the environment, by catalogue key.
    """
    for position, entry in enumerate(catalogue.packages):
        made = {"currency": catalogue.currency, "lookup_key": f"credits_{entry.key}", "position": position}
        yield vars(entry) | made | given_price(f"credits-{entry.key}", price_ids)
    yield {
        "id": CUSTOM_ID,
        "key": CUSTOM,
        "name": "Custom",
        "credits": catalogue.custom.credits_per_unit,
        "amount": 10 ** money.exponent(catalogue.currency),
        "currency": catalogue.currency,
        "lookup_key": "credits_custom",
        "is_custom": True,
        "position": len(catalogue.packages),
    } | given_price(CREDIT, price_ids)


def entries() -> Iterator[Entry]:
    """Yield what `flask catalogue push` creates at Stripe for the packages."""
    for package in _on_sale():
        key = CREDIT if package.is_custom else f"credits-{package.key}"
        name = f"{package.credits:,} credits" + ("" if package.is_custom else f" ({package.name})")
        facts = {"credits": str(package.credits)}
        yield Entry(key, package, package, name, Decimal(package.amount), metadata=facts)


def offers(mode: Mode = Mode.LIVE) -> list[Offer]:
    """List the packages on sale, in the catalogue's order. One with the cheapest credit is marked."""
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


def find(word: str | int, mode: Mode, *, amount: int | None = None, field: str = "package_id") -> Item:
    """Return the item that `word` names: a package's id or key, or `custom` with an amount in minor units.

    Raises InvalidInput about `field` (or `amount`) for what is unknown, withdrawn or out of range, Archived, and
    StripeUnavailable if its price is not at Stripe yet.
    """
    package = next(
        (one for one in _on_sale() if word in ((one.key,) if one.is_custom else (one.id, one.key))), None
    )
    if package is None:
        raise _refused(field, "There is no such package.")
    if package.is_archived(mode):
        raise archived(f"{package.name} credits", mode)
    if amount is not None and not package.is_custom:
        raise _refused("amount", "A package has its own price; an amount goes with the custom choice alone.")
    stripe_id = package.stripe_id(mode)
    if stripe_id is None:
        raise StripeUnavailable(f"{package.name} cannot be bought yet: its price is not at Stripe.")
    return _item(package, stripe_id, units(amount) if package.is_custom else 1)


def sold(mode: Mode, line: gateway.SessionLine) -> Item | None:
    """Return what a session's line sold, for the catalogue's amount; None if its price is of no package."""
    column = CreditPackage.live_price_id if mode == Mode.LIVE else CreditPackage.test_price_id
    package = db.session.execute(select(CreditPackage).where(column == line.price.id)).scalar_one_or_none()
    return _item(package, line.price.id, line.quantity) if package else None


def _item(package: CreditPackage, stripe_id: str, quantity: int) -> Item:
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


def has_custom(mode: Mode) -> bool:
    """Return whether a custom amount can be bought."""
    return any(one.is_custom and one.stripe_id(mode) and not one.is_archived(mode) for one in _on_sale())


def archived(name: str, mode: Mode) -> Archived:
    """Return the error that refuses a package whose price Stripe has archived, with what can be bought instead."""
    offered = {
        one.key: f"{one.credits:,} credits ({money.text(one.amount, one.currency, short=True)})"
        for one in offers(mode)
    }
    return Archived(name, offered, ("/credits", "See the packages"))


def limits() -> Limits:
    """Return the limits of a custom amount."""
    return _limits(current_settings().catalogue)


@cache
def _limits(path: Path) -> Limits:
    catalogue = catalogue_file.read(path)
    custom, unit = catalogue.custom, int(10 ** money.exponent(catalogue.currency))
    return Limits(custom.minimum, custom.maximum, unit, custom.credits_per_unit, catalogue.currency)


def minor_units(amount: float) -> int:
    """Convert dollars to minor units. Raises InvalidInput for fractions of a cent, and for text that is not a
    number.
    """
    value = Decimal(str(amount)).scaleb(money.exponent(limits().currency))
    if not value.is_finite() or value != value.to_integral_value():
        words = "The amount has more decimals than the currency allows."
        raise InvalidInput(words, errors={"amount": words}, money=NOTHING_CHARGED)
    return int(value)


def units(amount: int | None) -> int:
    """Convert an amount in minor units to units of the currency. Raises InvalidInput for an amount that is not
    sold.
    """
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
