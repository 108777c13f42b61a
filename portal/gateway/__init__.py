"""The only door to the stripe SDK: plain values in, small frozen dataclasses out, errors translated once.

`of(mode)` gives the lane of a mode: `gateway.of("live").subscription(id)`.
"""

from collections.abc import Callable

import stripe
from flask import Flask, current_app

from portal.gateway.calls import Params
from portal.gateway.customers import Clock, Customer, PortalConfiguration
from portal.gateway.lane import Lane
from portal.gateway.payments import Charge, PaymentIntent, Reversal, SavedMethod
from portal.gateway.sessions import PaymentLink, Session
from portal.gateway.shapes import (
    Card,
    Invoice,
    InvoicePayment,
    Price,
    Product,
)
from portal.gateway.signatures import BadSignature, sign, verify
from portal.gateway.subscription import Line, Phase, Preview, Schedule, Subscription, SubscriptionItem
from portal.gateway.usage import InvoiceItem
from portal.settings import Settings

__all__ = [
    "MODES",
    "BadSignature",
    "Card",
    "Charge",
    "Clock",
    "Customer",
    "Invoice",
    "InvoiceItem",
    "InvoicePayment",
    "Lane",
    "Line",
    "Params",
    "PaymentIntent",
    "PaymentLink",
    "Phase",
    "PortalConfiguration",
    "Preview",
    "Price",
    "Product",
    "Reversal",
    "SavedMethod",
    "Schedule",
    "Session",
    "Subscription",
    "SubscriptionItem",
    "init_app",
    "of",
    "sign",
    "verify",
]

MODES = ("live", "test")


def of(mode: str) -> Lane:
    """The lane of a mode, with its own key. Raises KeyError for a word that is no mode."""
    lanes: dict[str, Lane] = current_app.extensions["gateway"]
    return lanes[mode]


def init_app(app: Flask, settings: Settings, before_call: Callable[[], None] | None = None) -> None:
    """One lane a mode. `before_call` runs ahead of every call: create_app lets it refuse open transactions."""
    if settings.stripe_ca_bundle:
        stripe.ca_bundle_path = str(settings.stripe_ca_bundle)
    app.extensions["gateway"] = {
        mode: Lane(
            mode,
            key=settings.secret_key_for(mode),
            base=settings.stripe_api_base,
            timeout=app.config.get("STRIPE_TIMEOUT", 10),
            before_call=before_call,
        )
        for mode in MODES
    }
