"""Checks of the settings, the machine and the queues, which ask nobody outside."""

import shutil
import stat
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from redis import Redis, RedisError
from sqlalchemy import func, select, text

from portal import clock, mail
from portal.api import health
from portal.catalogue import catalogue_file, plans
from portal.doctor.check import Check, Problem
from portal.extensions import REDIS_OPTIONS, SPARE, db
from portal.models import (
    Customer,
    EventState,
    Order,
    OrderState,
    OutboxMail,
    StripeEvent,
    Subscription,
    SubscriptionStatus,
)
from portal.orders import unplaced_payments
from portal.settings import current_settings
from portal.settings.reading import SANDBOX_ENV
from portal.sync import open_calls

LEAST_FREE = 0.05  # of the disk
OVERDUE = timedelta(minutes=15)  # the scheduled tasks run each minute
STUCK = timedelta(hours=2)
NEARLY_ALL = 0.9  # of PostgreSQL's connections
TIMEOUTS = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
ALTER_ROLE = "ALTER ROLE … SET lock_timeout = '5s' and the others of docs/scaling.md, then restart."
CONNECTIONS = text(
    "SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int,"
    " (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')"
)
SHORTEST_SECRET = 20  # characters of a webhook secret; `whsec_later` is the example of the documentation


def settings() -> Iterator[Problem]:
    """Look for settings that are valid, and wrong."""
    given = current_settings()
    if given.takes_real_money and not given.is_production:
        yield Problem("A live key is used with ENVIRONMENT=development.", remedy="Set ENVIRONMENT=production.")
    if given.allow_unverified_stripe:
        yield Problem("ALLOW_UNVERIFIED_STRIPE is on.", remedy="Remove ALLOW_UNVERIFIED_STRIPE.")
    for name in given.unknown_prices:
        yield Problem(f"{name} names nothing in the catalogue.", is_warning=True)
    if given.is_production and given.base_url.startswith("https://") and not given.trusted_proxies:
        words = "TRUSTED_PROXIES is 0, so every visitor seems to come from the proxy."
        yield Problem(words, is_warning=True, remedy="Set TRUSTED_PROXIES=1 behind one proxy.")
    origin = "{0.scheme}://{0.netloc}".format(urlsplit(given.frontend_url))
    if given.frontend_url != given.base_url and origin not in given.allowed_origins:
        words = f"FRONTEND_URL is another site, and ALLOWED_ORIGINS does not have {origin}."
        yield Problem(
            words, is_warning=True, remedy=f"Set ALLOWED_ORIGINS='[\"{origin}\"]' for calls by browsers."
        )


def webhook_secrets() -> Iterator[Problem]:
    """Look for a webhook secret that is missing or an example."""
    given = current_settings()
    pairs = (
        ("STRIPE_WEBHOOK_SECRET", given.stripe_secret_key, given.stripe_webhook_secret),
        ("STRIPE_TEST_WEBHOOK_SECRET", given.stripe_test_secret_key, given.stripe_test_webhook_secret),
    )
    for name, key, secrets in pairs:
        if key and not secrets:
            yield Problem(f"{name} is not set, although its lane has a key.")
        if any(len(secret) < SHORTEST_SECRET for secret in secrets):
            yield Problem(f"{name} is a placeholder.")


def secret_files() -> Iterator[Problem]:
    """Look for files with secrets that other users of the machine can read."""
    for path in (Path(".env"), current_settings().instance_path / SANDBOX_ENV):
        if path.is_file() and path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
            yield Problem(f"{path} can be read by other users.", is_warning=True, remedy=f"chmod 600 {path}")


def database() -> Iterator[Problem]:
    """Ask the database for anything."""
    db.session.execute(text("SELECT 1"))
    yield from ()


def connections() -> Iterator[Problem]:
    """Compare PostgreSQL's limit with what this machine may open, and read back the time limits."""
    if db.engine.dialect.name != "postgresql":
        return
    given = current_settings()
    per_process = given.web_threads + SPARE
    wanted = per_process * (given.web_processes + (1 if given.jobs == "celery" else 0))
    limit, used = db.session.execute(CONNECTIONS).one()
    if not given.is_behind_pgbouncer and wanted > limit:
        words = f"This machine may open {wanted} connections, and PostgreSQL takes {limit}."
        yield Problem(words, remedy="Raise max_connections, or put PgBouncer between (docs/scaling.md).")
    elif used > NEARLY_ALL * limit:
        words = f"{used} of PostgreSQL's {limit} connections are in use."
        yield Problem(words, is_warning=True, remedy="Raise max_connections, or use PgBouncer (docs/scaling.md).")
    missing = [name for name in TIMEOUTS if db.session.execute(text(f"SHOW {name}")).scalar_one() in ("0", 0)]
    if missing:
        yield Problem(f"PostgreSQL has no {', '.join(missing)}.", is_warning=True, remedy=ALTER_ROLE)


def migrations() -> Iterator[Problem]:
    """Compare the schema with this version's."""
    health.check_schema()
    yield from ()


def disk() -> Iterator[Problem]:
    """Look for a disk that is nearly full."""
    folder = current_settings().instance_path
    found = shutil.disk_usage(folder if folder.exists() else folder.parent)
    if found.free < LEAST_FREE * found.total:
        yield Problem(f"{100 * found.free / found.total:.0f}% of the disk of {folder} is free.", is_warning=True)


def redis() -> Iterator[Problem]:
    """Ask Redis for anything, if there is one."""
    url = current_settings().redis_url
    if url is None:
        return
    try:
        Redis.from_url(url, **REDIS_OPTIONS).ping()
    except RedisError as error:
        yield Problem(f"Redis does not answer: {type(error).__name__}.")


def loaded_catalogue() -> Iterator[Problem]:
    """Compare the catalogue's file with the database, and look for plans without a price at Stripe."""
    try:
        entries = catalogue_file.read(current_settings().catalogue)
    except catalogue_file.BadCatalogue as faults:
        yield Problem(str(faults), remedy="Correct the catalogue's file.")
        return
    known = {plan.key: plan for plan in plans.every_plan()}
    for entry in entries.plans:
        plan = known.get(entry.key)
        if plan is None or plan.withdrawn or plan.entitlements != dict(entry.entitlements):
            yield Problem(f"The plan {entry.key} of the catalogue is not loaded as it is now.")
    for key in plans.not_on_sale(list(known.values())):
        yield Problem(f"{key} has no price at Stripe.", is_warning=True, remedy="flask catalogue push")


def events() -> Iterator[Problem]:
    """Count events that failed, that wait too long, and that are parked."""
    late = clock.now() - OVERDUE
    failed = _count(select(StripeEvent.id).where(StripeEvent.state == EventState.FAILED))
    if failed:
        yield Problem(f"{failed} events failed.")
    waits = (StripeEvent.state == EventState.RECEIVED, StripeEvent.received_at < late)
    if waiting := _count(select(StripeEvent.id).where(*waits)):
        remedy = "Serve with `flask start`, or run `flask tick` each minute by cron."
        yield Problem(f"{waiting} events wait for more than 15 minutes.", remedy=remedy)


def parked_events() -> Iterator[Problem]:
    """Count payments that arrived without an order."""
    if found := len(unplaced_payments.still()):
        yield Problem(f"{found} payments have no order.")


def mails() -> Iterator[Problem]:
    """Count mails that are overdue or were given up."""
    late = clock.now() - OVERDUE
    unsent = OutboxMail.sent_at.is_(None)
    if given_up := _count(select(OutboxMail.id).where(unsent, OutboxMail.attempts >= mail.MAX_ATTEMPTS)):
        yield Problem(f"{given_up} mails could not be sent, and are not tried again.")
    tried = (OutboxMail.attempts > 0, OutboxMail.attempts < mail.MAX_ATTEMPTS, OutboxMail.created_at < late)
    if failing := _count(select(OutboxMail.id).where(unsent, *tried)):
        yield Problem(f"{failing} mails could not be sent so far.")
    if current_settings().is_production and current_settings().smtp_url is None:
        yield Problem("MAIL_URL=outbox writes mails to files; nobody receives them.", is_warning=True)


def orders() -> Iterator[Problem]:
    """Count orders whose outcome is unclear, and calls to Stripe that an admin decides about."""
    if unclear := _count(select(Order.id).where(Order.state == OrderState.UNCLEAR)):
        yield Problem(f"{unclear} orders may have been paid.")
    if calls := len(open_calls.unclear()):
        yield Problem(f"{calls} calls to Stripe have an unknown outcome.")
    completed = (Order.state == OrderState.OPEN, Order.completed_at < clock.now() - STUCK)
    if waiting := _count(select(Order.id).where(*completed)):
        words = f"{waiting} orders were completed and are not paid; a bank debit takes days."
        yield Problem(words, is_warning=True, remedy="flask events backfill")


def suspensions() -> Iterator[Problem]:
    """Count suspended customers who pay for a plan."""
    pays = select(Subscription.customer_id).where(Subscription.status.in_(SubscriptionStatus.good()))
    plan = pays.where(Subscription.tier.is_not(None))
    query = select(Customer.id).where(Customer.suspended_at.is_not(None), Customer.id.in_(plan))
    if found := _count(query):
        yield Problem(f"{found} suspended customers pay for a plan.", is_warning=True)


def tiers() -> Iterator[Problem]:
    """Name prices of running subscriptions that give no tier."""
    query = select(Subscription.price_id).where(
        Subscription.status.in_(SubscriptionStatus.running()), Subscription.tier.is_(None), Subscription.amount > 0
    )
    for price_id in db.session.execute(query.distinct().limit(20)).scalars():
        yield Problem(f"Subscriptions of {price_id} give no plan.")


def _count(query: object) -> int:
    return int(db.session.execute(select(func.count()).select_from(query.subquery())).scalar_one())  # type: ignore[attr-defined]


NO_PRICE = "Customers cannot buy what has no price, or get another plan than they see."
TASKS = "Customers who paid wait for their plan or credits."

CHECKS = (
    Check("settings", "Money moves, or webhooks are trusted, without protection.", "Correct .env.", settings),
    Check("webhook secrets", "Every delivery is refused.", "flask webhooks push", webhook_secrets),
    Check("secret files", "Others on this machine can read the keys.", "chmod 600 .env", secret_files),
    Check("database", "Nothing works.", "Check DATABASE_URL and the server.", database),
    Check("connections", "Requests wait, and answer 503.", "See docs/scaling.md.", connections),
    Check("migrations", "Pages and webhooks fail.", "flask db upgrade", migrations),
    Check("disk", "Once it is full, nothing is stored.", "Free some space.", disk),
    Check("Redis", "Limits and cached access are kept per process.", "Check REDIS_URL and the server.", redis),
    Check("catalogue", NO_PRICE, "flask seed-plans", loaded_catalogue),
    Check("events", TASKS, "flask events retry", events),
    Check(
        "payments without an order", TASKS, "Add the price to STRIPE_PRICE_MAP; see the overview.", parked_events
    ),
    Check("mails", "Customers miss links and receipts.", "Check MAIL_URL.", mails),
    Check("orders", TASKS, "Decide on the admin overview.", orders),
    Check("suspensions", "They pay, and their keys answer 402.", "See their admin pages.", suspensions),
    Check("tiers", "They pay, and have the free plan.", "Add the price to STRIPE_PRICE_MAP, then Resync.", tiers),
)
