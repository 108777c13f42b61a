"""The order in which transactions lock rows, so that no two of them wait for each other.

A deadlock needs two transactions that lock the same rows in different orders. Every table that a transaction may
lock is listed here. The tests record the locks of every transaction on each database and fail if one breaks the
order. A new table makes them fail until it has its place (tests/support/lock_order.py).
"""

LOCK_ORDER = (
    # The inbox: a second delivery of an event waits on its row. Then the sync numbers, all together and sorted
    # (portal.sync.versions.hold).
    "stripe_events",
    "sync_tickets",
    # The catalogue, and what the operator created. Loading the catalogue marks every customer's access as stale.
    "payment_links",
    "portal_configurations",
    "operator_keys",
    "plans",
    "prices",
    "credit_packages",
    "meters",
    # An account and its ways of signing in: see USER_OWNS.
    "users",
    "user_sessions",
    "known_devices",
    "refresh_tokens",
    "recovery_codes",
    "mail_tokens",
    "sign_in_links",
    "email_changes",
    # The billing identity (portal.sync.locks.lock), then what belongs to it: see CUSTOMER_OWNS.
    "customers",
    "stripe_customers",
    "suspensions",
    "given_plans",
    "credit_grants",
    "top_up_rules",
    "orders",
    "order_invoices",
    "payments",
    "reversals",
    "fraud_warnings",
    "refund_requests",
    "subscriptions",
    "subscription_changes",
    "price_changes",
    "plan_periods",
    "period_credits",
    "trial_uses",
    "usage_agreements",
    "invoices",
    "voidings",
    "monthly_bills",
    "monthly_bill_lines",
    "usage_corrections",
    "open_calls",
    "api_keys",
    # Usage arrives without the customer's lock, at a high rate.
    "included_units",
    "usage_settings",
    "usage_events",
    "usage_days",
    "billing_runs",
    # Payments that arrived without an order.
    "unplaced_payments",
    # Alerts to operators.
    "operator_alerts",
    # Sums of each day, added to by movements.
    "daily_figures",
    # Append-only tables and the outbox: see ADDED_TO.
    "credit_entries",
    "mrr_movements",
    "outbox_mails",
    "audit_entries",
    "audit_seals",
)

# A transaction that locks rows of more than one of these tables locks their user or customer first. Under that
# lock the order of these rows does not matter: any other transaction that holds one of them holds the same owner.
USER_OWNS = frozenset((*LOCK_ORDER[LOCK_ORDER.index("users") + 1 : LOCK_ORDER.index("customers")], "outbox_mails"))
CUSTOMER_OWNS = frozenset(LOCK_ORDER[LOCK_ORDER.index("customers") + 1 : LOCK_ORDER.index("api_keys") + 1])

# Rows are inserted here from many places, with ON CONFLICT. Updates still follow the order.
ADDED_TO = frozenset(("credit_entries", "mrr_movements", "outbox_mails", "audit_entries", "audit_seals"))
