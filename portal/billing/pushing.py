"""Making the catalogue's products and prices at Stripe: `flask catalogue push`. Never edits, never deletes."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from flask import current_app

from portal import gateway
from portal.billing import plans
from portal.errors import PortalError
from portal.extensions import db
from portal.models import Plan, Price


class PriceDiffers(PortalError):
    """Stripe has another price under our lookup key; neither is changed by us."""

    status = 409
    code = "price_differs"
    title = "A price at Stripe differs from the catalogue"


@dataclass(frozen=True)
class Pushed:
    """One price and what became of it: kept, adopted, created or (dry run) missing."""

    key: str
    stripe_id: str | None
    what: str


def push(mode: str, *, dry_run: bool = False) -> Iterator[Pushed]:
    """Bring every price of the catalogue to Stripe, price by price; commits each.

    What exists under a lookup key is adopted. A price whose id the environment gives is left alone.
    """
    on_sale = [plan for plan in plans.every_plan() if not plan.withdrawn]
    db.session.commit()
    given = current_app.extensions["settings"].price_ids if mode == "live" else {}
    prices = [(plan, price) for plan in on_sale for price in plan.prices if not price.withdrawn]
    keys = [price.lookup_key for _, price in prices if price.key not in given]
    at_stripe = {found.lookup_key: found for found in gateway.of(mode).prices_by_lookup_key(keys)}
    products = {
        plan.key: at_stripe[price.lookup_key].product for plan, price in prices if price.lookup_key in at_stripe
    }
    for plan, price in prices:
        if price.key in given:
            _compare(price, gateway.of(mode).price(given[price.key]))
            yield Pushed(price.key, given[price.key], "kept: the environment names it")
        else:
            yield _push_price(mode, plan, price, at_stripe.get(price.lookup_key), products, dry_run)


def _push_price(
    mode: str, plan: Plan, price: Price, found: gateway.Price | None, products: dict[str, str], dry_run: bool
) -> Pushed:
    what = "created"
    if found is not None:
        _compare(price, found)
        what = "unchanged" if price.stripe_id(mode) == found.id else "adopted"
    elif dry_run:
        return Pushed(price.key, None, "missing")
    else:
        products[plan.key] = products.get(plan.key) or _product(mode, plan)
        found = _create(mode, plan, price, products[plan.key])
    if not dry_run:
        _store(mode, plan, price, found)
    return Pushed(price.key, found.id, what)


def _compare(price: Price, found: gateway.Price) -> None:
    ours = (price.amount, price.currency, price.interval)
    theirs = (found.amount, found.currency, found.interval)
    if ours != theirs:
        raise PriceDiffers(
            f"{price.key}: the catalogue says {ours}, Stripe's {found.id} says {theirs}. Give the catalogue's "
            "price another lookup_key, or correct it."
        )


def _create(mode: str, plan: Plan, price: Price, product: str) -> gateway.Price:
    params = {
        "product": product,
        "unit_amount": price.amount,
        "currency": price.currency,
        "recurring": {"interval": price.interval},
        "lookup_key": price.lookup_key,
        "metadata": {"tier": plan.tier, "portal_mode": mode},
    }
    return gateway.of(mode).create_price(params, _key("price", params))


def _product(mode: str, plan: Plan) -> str:
    """A product for a plan that has none at Stripe: in test mode the one that the settings name, if any."""
    shared = current_app.extensions["settings"].stripe_test_product_id if mode == "test" else None
    if shared:
        return str(shared)
    params = {"name": plan.name, "metadata": {"tier": plan.tier, "portal_mode": mode}}
    return gateway.of(mode).create_product(params, _key("product", params)).id


def _store(mode: str, plan: Plan, price: Price, found: gateway.Price) -> None:
    if mode == "live":
        price.live_price_id, plan.live_product_id = found.id, found.product
    else:
        price.test_price_id, plan.test_product_id = found.id, found.product
    db.session.commit()


def _key(kind: str, params: Mapping[str, object]) -> str:
    """An idempotency key made of what is asked for: two pushes at once make one product."""
    text = json.dumps(params, sort_keys=True)
    return f"catalogue-{kind}-{hashlib.sha256(text.encode()).hexdigest()[:32]}"
