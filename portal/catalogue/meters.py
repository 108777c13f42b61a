"""The meters of the catalogue: what is counted, what it costs, and what is pushed to Stripe."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import select

from portal import money
from portal.catalogue import catalogue_file
from portal.catalogue.prices import Entry, given_price
from portal.extensions import db
from portal.models import Meter
from portal.models.usage import MeterPrice
from portal.quantities import NANO


class Line(NamedTuple):
    """A customer's usage of a meter, the units that are included, and what the rest costs in minor units."""

    meter: Meter
    units: int
    nanos: int
    included: int
    amount: int


def facts(catalogue: catalogue_file.Catalogue, price_ids: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Yield the columns of each meter of the catalogue, in its order.

    `price_ids` are the live price ids from the environment, by catalogue key.
    """
    for position, entry in enumerate(catalogue.meters):
        made = {"currency": catalogue.currency, "lookup_key": f"meter_{entry.key}", "position": position}
        yield vars(entry) | made | given_price(entry.key, price_ids)


def entries() -> Iterator[Entry]:
    """Yield what `flask catalogue push` creates at Stripe for the meters: one metered price each."""
    for meter in on_sale():
        exact = unit_amount(meter)
        yield Entry(meter.key, meter, meter, meter.name, exact, "month", meter.key, {"meter": meter.key})


def line(meter: Meter, units: int, nanos: int, included: int = 0) -> Line:
    """Return a customer's usage of a meter, with its cost beyond the included units."""
    return Line(meter, units, nanos, included, cost(meter, units, nanos, meter.currency, included=included))


def cost(price: MeterPrice, units: int, nanos: int, currency: str, *, included: int = 0) -> int:
    """Return the cost of a quantity beyond the included units, in minor units: exact, rounded once, half up."""
    top, bottom = price.unit_price.as_integer_ratio()
    beyond = max(0, (units - included) * NANO + nanos)
    return money.half_up(beyond * top * 10 ** money.exponent(currency), bottom * price.per * NANO)


def kept(price: MeterPrice) -> dict[str, Any]:
    """Return the columns of a price, for the line of a bill that keeps it."""
    return {name: getattr(price, name) for name in MeterPrice.__annotations__}


def in_words(price: MeterPrice, currency: str) -> str:
    """Return a price as text: "$0.10", or "$0.01 per 1,000"."""
    return money.price_text(price.unit_price, price.per, currency)


def wire(price: MeterPrice) -> dict[str, str]:
    """Return a price for programs, exact."""
    return {"unit_price": f"{price.unit_price:f}", "per": str(price.per)}


def unit_amount(meter: Meter) -> Decimal:
    """Return the price of one unit, in minor units: 0.001 for $0.01 per 1,000."""
    return (meter.unit_price.scaleb(money.exponent(meter.currency)) / meter.per).normalize()


def on_sale() -> list[Meter]:
    """List the meters that accept usage, in the catalogue's order."""
    query = select(Meter).filter_by(withdrawn=False).order_by(Meter.position)
    return list(db.session.execute(query).scalars())
