"""Prices as Stripe describes them, which each process keeps for some minutes."""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import partial

import structlog
from flask import current_app

from portal import gateway
from portal.enums import Mode
from portal.errors import StripeRefused, StripeUnavailable

log = structlog.get_logger()

KEPT_SECONDS = 300  # a price that is archived meanwhile is refused when it is bought
AGAIN_SECONDS = 30  # after Stripe did not answer


@dataclass
class Described:
    """What Stripe last said about some prices: None for one that it does not know, or did not describe."""

    prices: Mapping[str, gateway.Price | None] = field(default_factory=dict)
    is_complete: bool = True


@dataclass
class Kept:
    """The answers of one mode, and when each is asked for again (monotonic seconds)."""

    prices: dict[str, gateway.Price | None] = field(default_factory=dict)
    until: dict[str, float] = field(default_factory=dict)
    paused_until: float = 0.0


def described(mode: Mode, wanted: Collection[str]) -> Described:
    """Return these prices. Call it outside transactions. While Stripe does not answer, its last answer is used."""
    kept: Kept = current_app.extensions.setdefault("stripe_prices", {}).setdefault(mode, Kept())
    now = time.monotonic()
    stale = [one for one in wanted if kept.until.get(one, 0.0) <= now]
    if stale and kept.paused_until <= now:
        try:
            with gateway.quickly():
                asked = gateway.together([partial(_read, mode, price_id) for price_id in stale])
            kept.prices |= dict(zip(stale, asked, strict=True))
            kept.until |= dict.fromkeys(stale, now + KEPT_SECONDS)
        except StripeUnavailable:
            log.warning("stripe_prices_not_read")
            kept.paused_until = now + AGAIN_SECONDS
    found = {one: kept.prices.get(one) for one in wanted}
    return Described(found, is_complete=found.keys() <= kept.prices.keys())


def _read(mode: Mode, price_id: str) -> gateway.Price | None:
    try:
        return gateway.of(mode).price(price_id)
    except StripeRefused:
        log.warning("price_unknown_at_stripe", price=price_id)
        return None
