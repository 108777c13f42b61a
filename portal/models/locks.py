"""The one order in which transactions lock rows, so that no two of them wait for each other.

A deadlock needs two transactions that lock the same rows in different orders. Every table that a transaction may
lock stands here. The tests record the locks of every transaction on PostgreSQL and fail where one breaks the
order; a new table fails them until it has its place (tests/support/lock_order.py).
"""

LOCK_ORDER = (
    # The inbox: a second delivery of an event waits on its row. Then the numbers of what was fetched, all of them
    # together and sorted (portal.purchases.tickets.hold).
    "stripe_events",
    "sync_tickets",
    # The catalogue, and what the operator made. Reading the catalogue in makes every customer's access stale.
    "payment_links",
    "portal_configurations",
    "operator_keys",
    "plans",
    "prices",
    "credit_packages",
    "meters",
    # An account and its ways in: see USER_OWNS.
    "users",
    "user_sessions",
    "known_devices",
    "refresh_tokens",
    "recovery_codes",
    "mail_tokens",
    "sign_in_links",
    "email_changes",
    # The billing identity (portal.customers.locks.lock), and then what belongs to it: see CUSTOMER_OWNS.
    "customers",
    "stripe_customers",
    "suspensions",
    "credit_grants",
    "top_up_rules",
    "purchases",
    "payments",
    "reversals",
    "refund_orders",
    "subscriptions",
    "subscription_changes",
    "trial_uses",
    "usage_agreements",
    "invoices",
    "voidings",
    "monthly_bills",
    "monthly_bill_lines",
    "open_calls",
    "api_keys",
    # Usage arrives without the customer's lock, at a high rate.
    "usage_settings",
    "usage_events",
    "usage_days",
    "billing_runs",
    # What arrived without an order.
    "unplaced_payments",
    # What only grows, and the outbox: see ADDED_TO.
    "credit_entries",
    "outbox_mails",
    "audit_entries",
    "audit_seals",
)

# A transaction that locks rows of more than one of these tables locks their user, or customer, first. Under that
# lock their order is free: whoever else holds one of the rows and waits for another holds the same owner.
USER_OWNS = frozenset((*LOCK_ORDER[LOCK_ORDER.index("users") + 1 : LOCK_ORDER.index("customers")], "outbox_mails"))
CUSTOMER_OWNS = frozenset(LOCK_ORDER[LOCK_ORDER.index("customers") + 1 : LOCK_ORDER.index("api_keys") + 1])

# Rows are added here wherever something happens, with ON CONFLICT; to change one keeps the order.
ADDED_TO = frozenset(("credit_entries", "outbox_mails", "audit_entries", "audit_seals"))
