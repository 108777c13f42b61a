"""The only package that imports the stripe SDK. It takes plain values, returns frozen dataclasses, and translates
errors.

`of(mode)` returns the lane of a mode: `gateway.of(Mode.LIVE).subscription(id)`.
"""

from collections.abc import Callable

import stripe
from flask import Flask, current_app

from portal.enums import Mode
from portal.gateway import calls
from portal.gateway.calls import Params, quickly, together
from portal.gateway.checkout import CheckoutCalls, PaymentLink, Session, SessionLine
from portal.gateway.customers import ADDRESS, TAX_ID_TYPES, BalanceChange, Customer, CustomerCalls, TaxId
from portal.gateway.invoices.credit_notes import CreditNote, CreditNoteCalls
from portal.gateway.invoices.invoices import Invoice, InvoiceCalls, InvoiceItem, InvoiceLine, InvoicePayment
from portal.gateway.invoices.previews import NONE_UPCOMING, Line, Preview, PreviewCalls
from portal.gateway.key_checks import KeyChecks
from portal.gateway.payment_methods import Card, PaymentMethodCalls, SavedMethod
from portal.gateway.payments import Charge, FraudWarning, PaymentCalls, PaymentIntent, Reversal
from portal.gateway.portal_configurations import PortalCalls, PortalConfiguration
from portal.gateway.products import Price, Product, ProductCalls
from portal.gateway.subscriptions.schedules import Phase, Schedule, ScheduleCalls
from portal.gateway.subscriptions.subscriptions import Discount, Subscription, SubscriptionCalls, SubscriptionItem
from portal.gateway.test_clocks import Clock, TestClockCalls
from portal.gateway.webhooks import BadSignature, WebhookCalls, WebhookEndpoint, sign, verify
from portal.settings import Settings

__all__ = [
    "ADDRESS",
    "NONE_UPCOMING",
    "TAX_ID_TYPES",
    "BadSignature",
    "BalanceChange",
    "Card",
    "Charge",
    "Clock",
    "CreditNote",
    "Customer",
    "Discount",
    "FraudWarning",
    "Invoice",
    "InvoiceItem",
    "InvoiceLine",
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
    "SessionLine",
    "Subscription",
    "SubscriptionItem",
    "TaxId",
    "WebhookEndpoint",
    "init_app",
    "of",
    "quickly",
    "sign",
    "together",
    "verify",
]


class Lane(
    PaymentMethodCalls,
    CustomerCalls,
    PortalCalls,
    TestClockCalls,
    ProductCalls,
    InvoiceCalls,
    PreviewCalls,
    CreditNoteCalls,
    SubscriptionCalls,
    ScheduleCalls,
    CheckoutCalls,
    PaymentCalls,
    WebhookCalls,
    KeyChecks,
):
    """The Stripe calls of one mode, for every noun."""


def of(mode: Mode) -> Lane:
    """Return the lane of a mode, with its own key. Raises KeyError for an unknown mode."""
    lanes: dict[str, Lane] = current_app.extensions["gateway"]
    return lanes[mode]


def init_app(app: Flask, settings: Settings, before_call: Callable[[], None] | None = None) -> None:
    """Create a lane for each mode. `before_call` runs before every call; create_app uses it to refuse open
    transactions.
    """
    if settings.stripe_ca_bundle:
        stripe.ca_bundle_path = str(settings.stripe_ca_bundle)
    app.extensions["gateway"] = {
        mode: Lane(
            mode,
            key=settings.secret_key_for(mode),
            base=settings.stripe_api_base,
            timeout=app.config.get("STRIPE_TIMEOUT", calls.SECONDS),
            before_call=before_call,
        )
        for mode in Mode
    }
