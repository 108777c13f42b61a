"""Prices that are archived at Stripe: not offered until they are active again."""

from collections.abc import Iterable, Iterator
from typing import cast

from sqlalchemy import select

from portal import gateway
from portal.errors import StripeRefused
from portal.extensions import db
from portal.models import CreditPackage, Meter, Plan, Price

Snapshot = tuple[str, dict[str, bool]]  # the mode, and which of these prices are active
Sold = Price | CreditPackage | Meter
MODELS: tuple[type[Sold], ...] = (Price, CreditPackage, Meter)


def read(mode: str, price_id: str) -> Snapshot:
    """Ask whether a price, and its product, are active. One that is not there is not."""
    return mode, {price_id: _is_active(mode, price_id)}


def read_product(mode: str, product_id: str) -> Snapshot:
    """Ask the same of every price of ours that goes under a product. Commits."""
    ids = [row.stripe_id(mode) for row in _under(mode, product_id)]
    db.session.commit()
    return mode, {one: _is_active(mode, one) for one in ids if one is not None}


def apply(snapshot: Snapshot) -> bool:
    """Note it on the rows that these are the prices of; whether there are any. Flushes."""
    mode, found = snapshot
    rows = [row for model in MODELS for row in _rows(model, mode, found)]
    for row in rows:
        price_id = row.stripe_id(mode)
        archived = None if price_id is None or found[price_id] else price_id
        if mode == "live":
            row.live_archived_id = archived
        else:
            row.test_archived_id = archived
    db.session.flush()
    return bool(rows)


def _is_active(mode: str, price_id: str) -> bool:
    try:
        return gateway.of(mode).price(price_id).active
    except StripeRefused as refused:
        if refused.stripe_code != "resource_missing":
            raise
        return False


def _rows(model: type[Sold], mode: str, ids: Iterable[str]) -> Iterable[Sold]:
    column = model.live_price_id if mode == "live" else model.test_price_id
    query = select(model).where(column.in_(ids)).order_by(model.id)
    return cast(Iterable[Sold], db.session.execute(query).scalars())


def _under(mode: str, product_id: str) -> Iterator[Sold]:
    live = mode == "live"
    plan = Plan.live_product_id if live else Plan.test_product_id
    yield from db.session.execute(select(Price).join(Plan).where(plan == product_id)).scalars()
    package = CreditPackage.live_product_id if live else CreditPackage.test_product_id
    yield from db.session.execute(select(CreditPackage).where(package == product_id)).scalars()
    meter = Meter.live_product_id if live else Meter.test_product_id
    yield from db.session.execute(select(Meter).where(meter == product_id)).scalars()
