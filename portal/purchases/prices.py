"""Bringing prices to Stripe: adopted where one stands under the lookup key, else made. Never edits or deletes."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from portal import gateway, money
from portal.errors import PortalError
from portal.extensions import db
from portal.models import CreditPackage, Meter, Plan, Price
from portal.settings import current_settings


class PriceDiffers(PortalError):
    """Stripe has another price under our lookup key; neither is changed by us."""

    status = 409
    code = "price_differs"
    title = "A price at Stripe differs from the catalogue"


@dataclass(frozen=True)
class Entry:
    """A price of the catalogue and the row whose product it goes under; `key` is its name in the environment."""

    key: str
    price: Price | CreditPackage | Meter
    owner: Plan | CreditPackage | Meter
    product_name: str
    unit_amount: Decimal  # minor units; a part of one where usage is metered
    interval: str | None = None  # None: paid once
    counts: str | None = None  # the event name of its meter at Stripe; None: it is not metered
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def terms(self) -> tuple[Decimal, str, str | None]:
        """What must be the same at Stripe: the price of one in minor units, currency, and how often: "a month"."""
        return (self.unit_amount, self.price.currency, self.interval and money.every(self.interval))


@dataclass(frozen=True)
class Pushed:
    """One price and what became of it: kept, unchanged, adopted, created or (dry run) missing."""

    key: str
    stripe_id: str | None
    what: str
    terms: str = ""  # in words, such as "Pro, $49.99 a month"

    @property
    def is_missing(self) -> bool:
        """Whether a push would make it, or put it right."""
        return self.what in ("missing", "differs")


def in_words(entry: Entry) -> str:
    """What is sold under which terms: "Pro, $49.99 a month". Of a metered price the cost of one unit."""
    amount, currency, how_often = entry.terms
    cost = money.price_text(amount.scaleb(-money.exponent(currency)), 1, currency)
    return f"{entry.product_name}, {cost}{f' {how_often}' if how_often else ''}"


def bring(mode: str, entries: Sequence[Entry], *, dry_run: bool = False) -> Iterator[Pushed]:
    """Bring these prices to Stripe; commits each. A price whose id the environment gives is left alone."""
    db.session.commit()
    given = current_settings().price_ids if mode == "live" else {}
    lookup_keys = [entry.price.lookup_key for entry in entries if entry.key not in given]
    at_stripe = {found.lookup_key: found for found in gateway.of(mode).prices_by_lookup_key(lookup_keys)}
    products = {
        entry.owner: at_stripe[entry.price.lookup_key].product
        for entry in entries
        if entry.price.lookup_key in at_stripe
    }
    for entry in entries:
        if entry.key in given:
            _compare(entry, gateway.of(mode).price(given[entry.key]))
            yield Pushed(entry.key, given[entry.key], "kept: the environment names it")
        else:
            yield _bring(mode, entry, at_stripe.get(entry.price.lookup_key), products, dry_run)


def _bring(
    mode: str,
    entry: Entry,
    found: gateway.Price | None,
    products: dict[Plan | CreditPackage | Meter, str],
    dry_run: bool,
) -> Pushed:
    what = "created"
    if found is not None:
        _compare(entry, found)
        what = "unchanged" if entry.price.stripe_id(mode) == found.id else "adopted"
    elif dry_run:
        return Pushed(entry.key, None, "missing", in_words(entry))
    else:
        products[entry.owner] = products.get(entry.owner) or _product(mode, entry)
        found = _create(mode, entry, products[entry.owner])
    if not dry_run:
        _store(mode, entry, found)
    return Pushed(entry.key, found.id, what)


def _compare(entry: Entry, found: gateway.Price) -> None:
    how_often = found.interval and money.every(found.interval, found.interval_count)
    theirs = (found.unit_amount, found.currency, how_often)
    if entry.terms != theirs:
        raise PriceDiffers(
            f"{entry.key}: the catalogue says {entry.terms}, Stripe's {found.id} says {theirs}. Give the "
            "catalogue's price another lookup_key, or correct it."
        )


def _create(mode: str, entry: Entry, product: str) -> gateway.Price:
    params = {
        "product": product,
        "unit_amount_decimal": f"{entry.unit_amount:f}",
        "currency": entry.price.currency,
        "lookup_key": entry.price.lookup_key,
        "metadata": {**entry.metadata, "portal_mode": mode},
    }
    if entry.interval:
        params["recurring"] = {"interval": entry.interval} | _metered(mode, entry)
    return gateway.of(mode).create_price(params, _key("price", params))


def _metered(mode: str, entry: Entry) -> dict[str, str]:
    """What makes a price count usage: Stripe takes none without a meter, which is adopted or made."""
    if entry.counts is None:
        return {}
    params = {
        "display_name": entry.product_name,
        "event_name": entry.counts,
        "default_aggregation": {"formula": "sum"},
    }
    lane = gateway.of(mode)
    meter = lane.meters().get(entry.counts) or lane.create_meter(params, _key("meter", params))
    return {"usage_type": "metered", "meter": meter}


def _product(mode: str, entry: Entry) -> str:
    """A product for what has none at Stripe: in test mode the one that the settings name, if any."""
    shared = current_settings().stripe_test_product_id if mode == "test" else None
    if shared:
        return str(shared)
    params = {"name": entry.product_name, "metadata": {**entry.metadata, "portal_mode": mode}}
    return gateway.of(mode).create_product(params, _key("product", params)).id


def _store(mode: str, entry: Entry, found: gateway.Price) -> None:
    if mode == "live":
        entry.price.live_price_id, entry.owner.live_product_id = found.id, found.product
    else:
        entry.price.test_price_id, entry.owner.test_product_id = found.id, found.product
    db.session.commit()


def _key(kind: str, params: Mapping[str, object]) -> str:
    """An idempotency key made of what is asked for: two pushes at once make one product."""
    text = json.dumps(params, sort_keys=True)
    return f"catalogue-{kind}-{hashlib.sha256(text.encode()).hexdigest()[:32]}"
