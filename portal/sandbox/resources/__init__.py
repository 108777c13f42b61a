"""Stripe's operations, a file per resource; importing this package serves them.

The operation above a function says what it does: Stripe's reference is its documentation.
"""

from portal.sandbox.resources import (
    absent,
    balance,
    billing_portal,
    checkout_sessions,
    coupons,
    customers,
    disputes,
    events,
    invoiceitems,
    invoices,
    meters,
    payment_links,
    payment_pages,
    payments,
    prices,
    products,
    setup_intents,
    subscription_schedules,
    subscriptions,
    tax_ids,
    test_clocks,
)

__all__ = [
    "absent",
    "balance",
    "billing_portal",
    "checkout_sessions",
    "coupons",
    "customers",
    "disputes",
    "events",
    "invoiceitems",
    "invoices",
    "meters",
    "payment_links",
    "payment_pages",
    "payments",
    "prices",
    "products",
    "setup_intents",
    "subscription_schedules",
    "subscriptions",
    "tax_ids",
    "test_clocks",
]
