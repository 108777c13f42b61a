"""The counters that the rules compare, as they stand now."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime

from prometheus_client.samples import Sample
from sqlalchemy import func, select

from portal.enums import Mode
from portal.extensions import db
from portal.metrics import collector, deliveries
from portal.models import Subscription

FAILED = ("no_answer", "server_error", "unavailable", "key_refused")
SLOW = "5.0"  # seconds: the bucket's upper bound


def of_processes() -> dict[str, float]:
    """Return the counters of this host's processes, each with its group: `web:stripe_calls`."""
    found: dict[str, float] = defaultdict(float)
    for one in (sample for metric in collector.of_processes().collect() for sample in metric.samples):
        for name, value in _counted(one):
            found[f"{one.labels['process']}:{name}"] += value
    return dict(found)


def _counted(one: Sample) -> Iterator[tuple[str, float]]:
    """Yield what a sample adds to which counter."""
    live = one.labels.get("mode") == Mode.LIVE
    is_webhook = one.labels.get("endpoint", "").startswith("webhooks.")
    if one.name == "portal_payment_calls_total" and live:
        yield "payment_calls", one.value
        yield "payment_errors", one.value * (one.labels["outcome"] == "error")
    elif one.name == "portal_stripe_calls_total" and live:
        yield "stripe_calls", one.value
        yield "stripe_errors", one.value * (one.labels["outcome"] in FAILED)
    elif one.name == "portal_request_seconds_count" and is_webhook:
        yield "webhooks", one.value
        yield "webhooks_slow", one.value
    elif one.name == "portal_request_seconds_bucket" and is_webhook and one.labels["le"] == SLOW:
        yield "webhooks_slow", -one.value


def of_database() -> dict[str, float]:
    """Return the counters of the database. Raises SQLAlchemy's errors if it cannot be reached."""
    found = {"events": 0.0, "events_failed": 0.0}
    for (mode, _, outcome), number in deliveries.totals().items():
        if mode == Mode.LIVE and outcome != "duplicate":
            found["events"] += number
            found["events_failed"] += number * (outcome == "failed")
    return found


def canceled(now: datetime) -> tuple[int, float]:
    """Return the live subscriptions canceled in the last day, and the mean of a day in the 28 days before."""
    latest, before = collector.canceled(now)
    query = select(func.count()).select_from(Subscription).where(Subscription.mode == Mode.LIVE)
    day, earlier = (db.session.execute(query.where(one)).scalar_one() for one in (latest, before))
    return day, earlier / collector.DAYS_BEFORE
