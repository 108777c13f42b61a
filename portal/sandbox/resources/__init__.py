"""Stripe's operations, a file per resource; importing this package serves them."""

from portal.sandbox.resources import (
    checkout_sessions,
    customers,
    events,
    invoices,
    prices,
    products,
    subscriptions,
)

__all__ = ["checkout_sessions", "customers", "events", "invoices", "prices", "products", "subscriptions"]
