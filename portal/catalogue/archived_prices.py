"""Prices that are archived at Stripe, which are not offered until they are active again."""

from collections.abc import Iterable, Iterator
from typing import cast

from sqlalchemy import select

from portal import gateway
from portal.enums import Mode
from portal.errors import StripeRefused
from portal.extensions import db
from portal.models import CreditPackage, Meter, Plan, Price

PriceSnapshot = tuple[Mode, dict[str, bool]]  # the mode, and which of these prices are active
Sold = Price | CreditPackage | Meter
MODELS: tuple[type[Sold], ...] = (Price, CreditPackage, Meter)


def read(mode: Mode, price_id: str) -> PriceSnapshot:
    """Fetch whether a price and its product are active. A price that does not exist is not."""
    return mode, {price_id: _is_active(mode, price_id)}


def read_product(mode: Mode, product_id: str) -> PriceSnapshot:
    """Fetch the same for every price of ours that belongs to a product. Commits."""
    ids = [row.stripe_id(mode) for row in _under(mode, product_id)]
    db.session.commit()
    return mode, {one: _is_active(mode, one) for one in ids if one is not None}


def read_all(mode: Mode) -> PriceSnapshot:
    """Fetch the same for every price that the catalogue sells. Commits."""
    ids = [row.stripe_id(mode) for row in on_sale()]
    db.session.commit()
    return mode, {one: _is_active(mode, one) for one in ids if one is not None}


def sync(mode: Mode, price_id: str) -> bool:
    """Record whether a price is active, and return it. Commits."""
    snapshot = read(mode, price_id)
    apply(snapshot)
    db.session.commit()
    return snapshot[1][price_id]


def on_sale() -> list[Sold]:
    """List what the catalogue sells now, whether or not it was pushed to Stripe."""
    rows: list[Sold] = []
    for model in MODELS:
        query = select(model).filter_by(withdrawn=False).order_by(model.id)
        rows += cast(Iterable[Sold], db.session.execute(query).scalars())
    return [row for row in rows if not (isinstance(row, Price) and row.plan.withdrawn)]


def apply(snapshot: PriceSnapshot) -> bool:
    """Record it on the rows of these prices and return whether there are any. Flushes."""
    mode, found = snapshot
    rows = [row for model in MODELS for row in _rows(model, mode, found)]
    for row in rows:
        price_id = row.stripe_id(mode)
        archived = None if price_id is None or found[price_id] else price_id
        if mode == Mode.LIVE:
            row.live_archived_id = archived
        else:
            row.test_archived_id = archived
        db.session.flush()  # in lock order: one flush for all would follow the names of the tables
    return bool(rows)


def _is_active(mode: Mode, price_id: str) -> bool:
    try:
        return gateway.of(mode).price(price_id).active
    except StripeRefused as refused:
        if refused.stripe_code != "resource_missing":
            raise
        return False


def _rows(model: type[Sold], mode: Mode, ids: Iterable[str]) -> Iterable[Sold]:
    column = model.live_price_id if mode == Mode.LIVE else model.test_price_id
    query = select(model).where(column.in_(ids)).order_by(model.id)
    return cast(Iterable[Sold], db.session.execute(query).scalars())


def _under(mode: Mode, product_id: str) -> Iterator[Sold]:
    live = mode == Mode.LIVE
    plan = Plan.live_product_id if live else Plan.test_product_id
    yield from db.session.execute(select(Price).join(Plan).where(plan == product_id)).scalars()
    package = CreditPackage.live_product_id if live else CreditPackage.test_product_id
    yield from db.session.execute(select(CreditPackage).where(package == product_id)).scalars()
    meter = Meter.live_product_id if live else Meter.test_product_id
    yield from db.session.execute(select(Meter).where(meter == product_id)).scalars()
