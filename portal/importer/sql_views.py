"""Read-only SQL views with the table names of earlier systems, for queries that an operator keeps: `flask moving
views`.

They show live mode. Each joins tables, so PostgreSQL refuses to write through it, as SQLite does for every view.
"""

from collections.abc import Iterable

from sqlalchemy import Connection, inspect, text

from portal.errors import Conflict
from portal.money import THREE_DECIMAL, ZERO_DECIMAL

MARK = "made by flask moving views"  # tells our views from an operator's own

# The elements of a plan's list of features, each with its number.
FEATURES = {
    "sqlite": "json_each(p.features) AS f",
    "postgresql": "json_array_elements_text(p.features) WITH ORDINALITY AS f (value, key)",
}
# The meters of which a plan includes units, each with its number.
INCLUDED = {
    "sqlite": "json_each(p.included) AS i",
    "postgresql": "json_each_text(p.included) AS i (key, value)",
}
_EXPONENTS = {0: ZERO_DECIMAL, 3: THREE_DECIMAL}


def _major(amount: str, currency: str) -> str:
    """Return the SQL of an amount in the currency's major unit: 4999 usd is 49.99."""
    listed = {places: ", ".join(f"'{code}'" for code in sorted(codes)) for places, codes in _EXPONENTS.items()}
    exact = f"CAST({amount} AS NUMERIC)"
    return (
        f"CASE WHEN {currency} IN ({listed[0]}) THEN {exact}"
        f" WHEN {currency} IN ({listed[3]}) THEN ROUND({exact} / 1000.0, 3) ELSE ROUND({exact} / 100.0, 2) END"
    )


SUBSCRIPTION_PLANS = f"""
SELECT p.id, p.key AS name, p.name AS display_name, p.tier, p.description,
    {_major("m.amount", "m.currency")} AS price_monthly,
    {_major("y.amount", "y.currency")} AS price_yearly,
    COALESCE(m.currency, y.currency) AS currency,
    m.live_price_id AS stripe_price_id_monthly, y.live_price_id AS stripe_price_id_yearly,
    NOT p.withdrawn AS is_active, p.position AS sort_order
FROM plans AS p
LEFT JOIN prices AS m ON m.plan_id = p.id AND m.interval = 'month' AND NOT m.withdrawn
LEFT JOIN prices AS y ON y.plan_id = p.id AND y.interval = 'year' AND NOT y.withdrawn
"""  # noqa: S608 - all of it is ours

# As the pricing page lists them: the catalogue's sentences, and what is included each month.
PLAN_FEATURES = """
SELECT p.id * 1000 + f.key AS id, p.id AS plan_id, f.value AS name
FROM plans AS p, {features}
UNION ALL
SELECT p.id * 1000 + 900, p.id, p.credits || ' credits a month'
FROM plans AS p
WHERE p.credits > 0
UNION ALL
SELECT p.id * 1000 + 900 + t.id, p.id, i.value || ' ' || t.name || ' a month'
FROM plans AS p, {included}, meters AS t
WHERE t.key = i.key
"""

USER_SUBSCRIPTIONS = """
SELECT s.id, c.user_id, p.id AS plan_id, p.key AS plan_name, s.tier, s.status,
    s.interval AS billing_interval, s.interval_count, s.amount, s.currency,
    'stripe' AS provider, s.stripe_customer AS stripe_customer_id, s.stripe_id AS stripe_subscription_id,
    s.price_id AS stripe_price_id, s.current_period_end, s.trial_end,
    s.cancel_at IS NOT NULL AS cancel_at_period_end, s.cancel_at, s.canceled_at, s.ended_at,
    s.started_at AS created_at, s.synced_at AS updated_at
FROM subscriptions AS s
JOIN customers AS c ON c.id = s.customer_id
LEFT JOIN plans AS p ON p.tier = s.tier
WHERE s.mode = 'live'
"""

AUDIT_LOGS = """
SELECT a.id, COALESCE(a.user_id, c.user_id) AS user_id, a.action, a.actor, a.actor_id,
    a.subject AS resource_id, a.before AS old_values, a.after AS new_values, a.network AS ip_address,
    a.request_id, a.at AS created_at
FROM audit_entries AS a
LEFT JOIN customers AS c ON c.id = a.customer_id
"""

CREDIT_TRANSACTIONS = """
SELECT e.id, COALESCE(u.taken_over_by, u.id) AS user_id, e.amount, e.balance_after,
    e.reason AS transaction_type, e.description, e.reference AS reference_id,
    o.payment_intent AS stripe_payment_intent_id, o.session_id AS stripe_session_id, e.created_at
FROM credit_entries AS e
JOIN customers AS c ON c.id = e.customer_id
JOIN users AS u ON u.id = c.user_id
LEFT JOIN orders AS o ON o.id = e.order_id
WHERE c.mode = 'live'
"""

STRIPE_PRODUCTS = f"""
SELECT r.key AS id, 'plan' AS kind, p.name, p.live_product_id AS stripe_product_id,
    r.live_price_id AS stripe_price_id, {_major("r.amount", "r.currency")} AS unit_price, 1 AS per, r.currency,
    r.interval AS billing_interval, NOT (r.withdrawn OR p.withdrawn) AS is_active
FROM prices AS r JOIN plans AS p ON p.id = r.plan_id
UNION ALL
SELECT 'credits-' || k.key, 'credits', k.name, k.live_product_id, k.live_price_id,
    {_major("k.amount", "k.currency")}, 1, k.currency, NULL, NOT k.withdrawn
FROM credit_packages AS k
UNION ALL
SELECT t.key, 'usage', t.name, t.live_product_id, t.live_price_id,
    CAST(t.unit_price AS NUMERIC), t.per, t.currency, 'month', NOT t.withdrawn
FROM meters AS t
"""  # noqa: S608

VIEWS = {
    "subscription_plans": SUBSCRIPTION_PLANS,
    "plan_features": PLAN_FEATURES,
    "user_subscriptions": USER_SUBSCRIPTIONS,
    "audit_logs": AUDIT_LOGS,
    "credit_transactions": CREDIT_TRANSACTIONS,
    "stripe_products": STRIPE_PRODUCTS,
}


def make(connection: Connection, names: Iterable[str] = tuple(VIEWS)) -> None:
    """Create these views, replacing those of an earlier version. Raises Conflict if a name is taken.

    The caller commits.
    """
    wanted = list(names)
    drop(connection)
    found = inspect(connection)
    if taken := set(wanted) & {*found.get_table_names(), *found.get_view_names()}:
        raise Conflict(f"The database has {', '.join(sorted(taken))} already, which the portal did not make.")
    dialect = connection.dialect.name
    for name in wanted:
        query = VIEWS[name].format(features=FEATURES[dialect], included=INCLUDED[dialect]).strip()
        connection.exec_driver_sql(f"CREATE VIEW {name} AS /* {MARK} */ {query}")
        if dialect == "postgresql":  # which does not keep comments inside the query
            connection.exec_driver_sql(f"COMMENT ON VIEW {name} IS '{MARK}'")


def drop(connection: Connection) -> list[str]:
    """Drop the views that `make` created, and return their names. The caller commits."""
    if connection.dialect.name == "postgresql":
        query = (
            "SELECT relname FROM pg_class WHERE relkind = 'v' AND pg_table_is_visible(oid)"
            " AND obj_description(oid, 'pg_class') = :mark"
        )
        found = connection.execute(text(query), {"mark": MARK}).scalars().all()
    else:
        query = "SELECT name FROM sqlite_master WHERE type = 'view' AND sql LIKE :mark"
        found = connection.execute(text(query), {"mark": f"%/* {MARK} */%"}).scalars().all()
    names = [name for name in VIEWS if name in found]
    for name in names:
        connection.exec_driver_sql(f"DROP VIEW {name}")
    return names
