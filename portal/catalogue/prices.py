"""Push prices to Stripe: adopt the price with the lookup key, or create it. Never edits or deletes a price."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from portal import gateway, money
from portal.enums import Mode
from portal.errors import PortalError, StripeRefused
from portal.extensions import db
from portal.models import CreditPackage, Meter, Plan, Price
from portal.settings import current_settings
from portal.sync import idempotency


class PriceDiffers(PortalError):
    """Stripe has a different price under our lookup key. We change neither."""

    status = 409
    code = "price_differs"
    title = "A price at Stripe differs from the catalogue"


@dataclass(frozen=True)
class Entry:
    """A price of the catalogue and the row that holds its product. `key` is its name in the environment."""

    key: str
    price: Price | CreditPackage | Meter
    owner: Plan | CreditPackage | Meter
    product_name: str
    unit_amount: Decimal  # minor units; can be fractional for metered usage
    interval: str | None = None  # None: one-time
    counts: str | None = None  # the event name of its meter at Stripe; None: not metered
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def terms(self) -> tuple[Decimal, str, str | None]:
        """Return what must match at Stripe: unit price in minor units, currency, and interval, such as "a
        month".
        """
        return (self.unit_amount, self.price.currency, self.interval and money.every(self.interval))


@dataclass(frozen=True)
class Pushed:
    """A price and its result: kept, unchanged, adopted, created or (dry run) missing."""

    key: str
    stripe_id: str | None
    what: str
    terms: str = ""  # in words, such as "Pro, $49.99 a month"

    @property
    def is_missing(self) -> bool:
        """Return whether a push would create or correct it."""
        return self.what in ("missing", "differs")


def given_price(key: str, price_ids: dict[str, str]) -> dict[str, str]:
    """Return the column of a live price id that the environment gives; no column leaves the row's as it is."""
    return {"live_price_id": price_ids[key]} if key in price_ids else {}


def in_words(entry: Entry) -> str:
    """Return what is sold and for how much: "Pro, $49.99 a month". For a metered price, the cost of one unit."""
    amount, currency, how_often = entry.terms
    cost = money.price_text(amount.scaleb(-money.exponent(currency)), 1, currency)
    return f"{entry.product_name}, {cost}{f' {how_often}' if how_often else ''}"


def bring(mode: Mode, entries: Sequence[Entry], *, dry_run: bool = False) -> Iterator[Pushed]:
    """Push these prices to Stripe, committing after each. A price whose id comes from the environment is left
    alone.
    """
    db.session.commit()
    given = current_settings().price_ids if mode == Mode.LIVE else {}
    lookup_keys = [entry.price.lookup_key for entry in entries if entry.key not in given]
    at_stripe = {found.lookup_key: found for found in gateway.of(mode).prices_by_lookup_key(lookup_keys)}
    products = {
        entry.owner: at_stripe[entry.price.lookup_key].product
        for entry in entries
        if entry.price.lookup_key in at_stripe
    }
    for entry in entries:
        if entry.key in given:
            found = gateway.of(mode).price(given[entry.key])
            _compare(entry, found)
            if not dry_run:
                _store_product(mode, entry, found)
            yield Pushed(entry.key, given[entry.key], "kept: the environment names it")
        else:
            yield _bring(mode, entry, at_stripe.get(entry.price.lookup_key), products, dry_run)


def _bring(
    mode: Mode,
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


def _create(mode: Mode, entry: Entry, product: str) -> gateway.Price:
    params = {
        "product": product,
        "unit_amount_decimal": f"{entry.unit_amount:f}",
        "currency": entry.price.currency,
        "lookup_key": entry.price.lookup_key,
        "metadata": {**entry.metadata, "portal_mode": mode},
    }
    if entry.interval:
        params["recurring"] = {"interval": entry.interval} | _metered(mode, entry)
    return gateway.of(mode).create_price(params, idempotency.content_key("catalogue-price", params))


def _metered(mode: Mode, entry: Entry) -> dict[str, str]:
    """Return the fields of a metered price. Stripe requires a meter, which is adopted or created."""
    if entry.counts is None:
        return {}
    params = {
        "display_name": entry.product_name,
        "event_name": entry.counts,
        "default_aggregation": {"formula": "sum"},
    }
    lane, key = gateway.of(mode), idempotency.content_key("catalogue-meter", params)
    meter = lane.meters().get(entry.counts) or lane.create_meter(params, key)
    return {"usage_type": "metered", "meter": meter}


def _own_product(mode: Mode, entry: Entry) -> str | None:
    """Return the product of earlier prices, if Stripe still sells it: all of them may have another lookup key."""
    known = entry.owner.live_product_id if mode == Mode.LIVE else entry.owner.test_product_id
    try:
        return known if known and gateway.of(mode).product(known).active else None
    except StripeRefused as refused:
        if refused.stripe_code != "resource_missing":
            raise
        return None


def _product(mode: Mode, entry: Entry) -> str:
    """Return a product for a new price: in test mode the one from the settings, else that of earlier prices."""
    shared = current_settings().stripe_test_product_id if mode == Mode.TEST else None
    if shared:
        return str(shared)
    if own := _own_product(mode, entry):
        return own
    params = {"name": entry.product_name, "metadata": {**entry.metadata, "portal_mode": mode}}
    return gateway.of(mode).create_product(params, idempotency.content_key("catalogue-product", params)).id


def _store(mode: Mode, entry: Entry, found: gateway.Price) -> None:
    if mode == Mode.LIVE:
        entry.price.live_price_id = found.id
    else:
        entry.price.test_price_id = found.id
    _store_product(mode, entry, found)


def _store_product(mode: Mode, entry: Entry, found: gateway.Price) -> None:
    """Store the product, which decides about its other prices if the plan says `also = "product"`. Commits."""
    if mode == Mode.LIVE:
        entry.owner.live_product_id = found.product
    else:
        entry.owner.test_product_id = found.product
    db.session.commit()
