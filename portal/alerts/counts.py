"""The counters that the rules compare, as they stand now."""

import os
from collections.abc import Iterable
from datetime import datetime

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from sqlalchemy import func, select

from portal import instruments
from portal.enums import Mode
from portal.extensions import db
from portal.metrics import collector, deliveries
from portal.models import Subscription
from portal.settings import current_settings

FAILED = ("no_answer", "server_error", "unavailable", "key_refused")
SLOW = "5.0"  # seconds: the bucket's upper bound


def of_processes() -> dict[str, float]:
    """Return the counters of this host's processes: those of gunicorn, else this process's own."""
    settings = current_settings()
    folder = os.environ.get(instruments.FOLDER) or str(settings.instance_path / "metrics" / str(settings.port))
    registry = instruments.OWN
    if os.path.isdir(folder):
        registry = CollectorRegistry()
        MultiProcessCollector(registry, folder)  # type: ignore[no-untyped-call]
    found = dict.fromkeys(
        ("payment_calls", "payment_errors", "stripe_calls", "stripe_errors", "webhooks", "webhooks_slow"), 0.0
    )
    _add(found, registry.collect())
    return found


def _add(found: dict[str, float], metrics: Iterable[Metric]) -> None:
    for one in (sample for metric in metrics for sample in metric.samples):
        labels, live = one.labels, one.labels.get("mode") == Mode.LIVE
        is_webhook = labels.get("endpoint", "").startswith("webhooks.")
        if one.name == "portal_payment_calls_total" and live:
            found["payment_calls"] += one.value
            found["payment_errors"] += one.value * (labels["outcome"] == "error")
        elif one.name == "portal_stripe_calls_total" and live:
            found["stripe_calls"] += one.value
            found["stripe_errors"] += one.value * (labels["outcome"] in FAILED)
        elif one.name == "portal_request_seconds_count" and is_webhook:
            found["webhooks"] += one.value
            found["webhooks_slow"] += one.value
        elif one.name == "portal_request_seconds_bucket" and is_webhook and labels["le"] == SLOW:
            found["webhooks_slow"] -= one.value


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
