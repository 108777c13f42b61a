"""Checks of the Stripe account, in one mode."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import islice
from typing import Any

from sqlalchemy import select

from portal import clock, gateway
from portal.catalogue import archived_prices, portal_configuration
from portal.doctor.check import Check, Problem
from portal.enums import Mode
from portal.errors import StripeRefused
from portal.extensions import db
from portal.models import PaymentLink, Price, StripeEvent
from portal.settings import current_settings
from portal.webhooks import endpoint
from portal.webhooks.handlers import HANDLERS

MOST_SKEW = timedelta(seconds=60)  # a signature is valid for five minutes
ARRIVED = timedelta(minutes=10)  # a delivery that takes longer is missing
MOST_LINKS = 20
NEWEST = 100  # events that are looked for here


def key(mode: Mode) -> Iterator[Problem]:
    """Ask for one object with the key, and look at its mode."""
    lane = gateway.of(mode)
    given = current_settings()
    if mode == Mode.LIVE and given.is_production and not lane.livemode:
        yield Problem(f"{lane.key_name} is a test key.")
    skew = abs(lane.server_time() - clock.now())
    if skew > MOST_SKEW:
        words = f"This machine's clock differs from Stripe's by {skew.total_seconds():.0f} seconds."
        yield Problem(words, remedy="Set the clock, for example with an NTP service.")


def permissions(mode: Mode) -> Iterator[Problem]:
    """Try to read each kind of object that the portal uses, and to create those that it creates."""
    lane = gateway.of(mode)
    if not (current_settings().secret_key_for(mode) or "").startswith("rk_"):
        return
    for path in lane.unreadable():
        yield Problem(f"The key in {lane.key_name} cannot read {path}.")
    for path in lane.unwritable():
        yield Problem(f"The key in {lane.key_name} cannot write {path}.")


def webhook_endpoint(mode: Mode) -> Iterator[Problem]:
    """Compare the endpoint at Stripe with what this version needs."""
    if not current_settings().base_url.startswith("https://") and current_settings().is_at_stripe:
        yield Problem("BASE_URL is not https, so Stripe delivers nothing.", True, "On your machine: stripe listen")
        return
    found = endpoint.push(mode, dry_run=True)
    if found.what == "missing":
        yield Problem(f"There is no endpoint at {found.url}.")
    if found.what == "incomplete":
        yield Problem(f"The endpoint {found.url} lacks {', '.join(found.added)}.")
    if not found.is_enabled:
        yield Problem(
            f"The endpoint {found.url} is disabled.", remedy="Enable it: Dashboard, Developers, Webhooks."
        )
    if found.other_version:
        words = f"The endpoint {found.url} sends events of API version {found.other_version}."
        yield Problem(
            words, True, "Delete it in the Dashboard and run flask webhooks push: a version cannot be changed."
        )


def deliveries(mode: Mode) -> Iterator[Problem]:
    """Look for the newest events of the account in the inbox."""
    until = int((clock.now() - ARRIVED).timestamp())
    newest = islice(gateway.of(mode).events(), NEWEST)
    sent = [one for one in newest if one["created"] <= until and _concerns_us(one, mode)]
    names = [one["id"] for one in sent]
    query = select(StripeEvent.event_id).where(StripeEvent.mode == mode, StripeEvent.event_id.in_(names))
    missing = set(names) - set(db.session.execute(query).scalars())
    if missing:
        words = f"{len(missing)} of the newest {len(names)} events did not arrive: the URL or the secret is wrong."
        yield Problem(words)


def _concerns_us(event: dict[str, Any], mode: Mode) -> bool:
    stamp = (event["data"]["object"].get("metadata") or {}).get("portal_mode")
    return event["type"] in HANDLERS and stamp in (None, mode)


def customer_portal(mode: Mode) -> Iterator[Problem]:
    """Compare the configuration of Stripe's customer portal with ours."""
    found = portal_configuration.push(mode, dry_run=True)
    if found.is_missing:
        yield Problem(f"The configuration of Stripe's customer portal is {found.what}.")


def prices(mode: Mode) -> Iterator[Problem]:
    """Compare each price on sale with Stripe's: active, and a plan's with the same amount and currency."""
    rows = [(row.stripe_id(mode), row) for row in archived_prices.on_sale()]
    db.session.commit()
    for stripe_id, row in rows:
        if stripe_id is None:
            continue
        there = _price(mode, stripe_id)
        if there is None:
            yield Problem(f"{row.key}: Stripe has no price {stripe_id}.")
            continue
        if not there.active:
            yield Problem(f"{row.key}: {stripe_id} is archived.")
        if isinstance(row, Price) and (there.amount, there.currency) != (row.amount, row.currency):
            words = f"{there.amount} {there.currency} at Stripe, {row.amount} {row.currency} in the catalogue"
            yield Problem(
                f"{row.key}: {stripe_id} is {words}.", remedy="Correct the catalogue, or its lookup key."
            )


def price_map(mode: Mode) -> Iterator[Problem]:
    """Look for the prices that the settings name; they are of the live account."""
    if mode != Mode.LIVE:
        return
    given = current_settings()
    for price_id in sorted({*given.price_map, *(given.allowed_price_ids or ())}):
        there = _price(mode, price_id)
        if there is None or not there.active:
            yield Problem(f"{price_id} of the settings is {'archived' if there else 'unknown to Stripe'}.")


def payment_links(mode: Mode) -> Iterator[Problem]:
    """Look at our links that do not lead to the success page with the session's id."""
    query = select(PaymentLink.stripe_id).where(PaymentLink.mode == mode, PaymentLink.stripe_id.is_not(None))
    known = db.session.execute(query.order_by(PaymentLink.id.desc()).limit(MOST_LINKS)).scalars().all()
    db.session.commit()
    for name in known:
        link = gateway.of(mode).payment_link(str(name))
        if "{CHECKOUT_SESSION_ID}" not in (link.redirect or ""):
            yield Problem(f"The Payment Link {link.id} redirects to {link.redirect or 'a page of Stripe'}.")


def _price(mode: Mode, price_id: str) -> gateway.Price | None:
    try:
        return gateway.of(mode).price(price_id)
    except StripeRefused as refused:
        if refused.stripe_code != "resource_missing":
            raise
        return None


MISSED = "Purchases, renewals and refunds are noticed late or never."
SUCCESS = "End it with /billing/success?session_id={CHECKOUT_SESSION_ID}: Dashboard, Payment Links."

CHECKS = (
    Check("Stripe key", "Nothing can be bought.", "Dashboard, Developers, API keys.", key),
    Check(
        "permissions",
        "What needs it fails.",
        "docs/going-live.md lists them; edit the restricted key.",
        permissions,
    ),
    Check("webhook endpoint", MISSED, "flask webhooks push", webhook_endpoint),
    Check("deliveries", MISSED, "Set the endpoint's secret, then flask events backfill", deliveries),
    Check("customer portal", "Customers cannot change their card.", "flask catalogue push", customer_portal),
    Check("prices", "Customers cannot buy it, or pay another amount.", "flask catalogue push", prices),
    Check(
        "price map", "Its buyers get no plan.", "Correct STRIPE_PRICE_MAP or STRIPE_ALLOWED_PRICE_IDS.", price_map
    ),
    Check("payment links", "Buyers see an error after paying, and no key.", SUCCESS, payment_links),
)
