"""The meters of the catalogue: what is counted, and for how much."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from sqlalchemy import select

from portal import catalogue as file
from portal import money
from portal.extensions import db
from portal.models import Meter
from portal.purchases import loading
from portal.purchases.prices import Entry


def seed(catalogue: file.Catalogue, price_ids: dict[str, str]) -> list[str]:
    """Bring the meters to what the catalogue says, withdraw what it lost; a line for each. Flushes.

    `price_ids` are the live price ids that the environment gives, by catalogue key.
    """
    known = {row.key: row for row in db.session.execute(select(Meter)).scalars()}
    lines = []
    for position, entry in enumerate(catalogue.meters):
        facts = _facts(entry, catalogue.currency, position)
        if entry.key in price_ids:
            facts["live_price_id"] = price_ids[entry.key]
        lines.append(f"{loading.bring(Meter, known.pop(entry.key, None), facts)} {entry.name} meter")
    for row in loading.withdraw(known.values()):
        lines.append(f"Withdrew {row.name} meter: the catalogue no longer has it")
    db.session.flush()
    return lines


def _facts(entry: file.Meter, currency: str, position: int) -> dict[str, Any]:
    return {
        "key": entry.key,
        "name": entry.name,
        "unit_price": entry.unit_price,
        "per": entry.per,
        "currency": currency,
        "lookup_key": f"meter_{entry.key}",
        "position": position,
        "withdrawn": False,
    }


def entries() -> Iterator[Entry]:
    """What `flask catalogue push` brings to Stripe of the meters: a metered price each."""
    for meter in on_sale():
        exact = unit_amount(meter)
        yield Entry(meter.key, meter, meter, meter.name, exact, "month", meter.key, {"meter": meter.key})


def unit_amount(meter: Meter) -> Decimal:
    """What one unit costs, in minor units: 0.001 for $0.01 per 1,000."""
    return (meter.unit_price.scaleb(money.exponent(meter.currency)) / meter.per).normalize()


def on_sale() -> list[Meter]:
    """The meters that usage is reported for, in the catalogue's order."""
    query = select(Meter).filter_by(withdrawn=False).order_by(Meter.position)
    return list(db.session.execute(query).scalars())
