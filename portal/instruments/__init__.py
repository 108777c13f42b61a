"""What each process measures of itself: durations, outcomes of calls to Stripe, and repeated requests.

Everything else that /metrics shows is read from the database (portal.metrics). Gunicorn's
processes and Celery's workers share files in `PROMETHEUS_MULTIPROC_DIR`, which portal.settings.instance.measure
sets before this module is first imported. Commands keep their numbers in memory, where nobody reads them: their
files would stay forever.
"""

import os

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
if os.environ.get("PORTAL_MEASURES") not in (str(os.getpid()), str(os.getppid())):
    os.environ.pop(FOLDER, None)  # prometheus_client decides by it when it is imported

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics  # noqa: E402

disable_created_metrics()  # type: ignore[no-untyped-call]

SECONDS = (0.05, 0.25, 1, 2.5, 5, 10)
OWN = CollectorRegistry()

REQUESTS = Histogram(
    "portal_request_seconds", "Time to answer a request.", ["endpoint"], buckets=SECONDS, registry=OWN
)
RESPONSES = Counter(
    "portal_responses", "Answered requests, by the class of their status.", ["status"], registry=OWN
)
STRIPE_SECONDS = Histogram(
    "portal_stripe_call_seconds", "Time of a call to Stripe.", ["mode"], buckets=SECONDS, registry=OWN
)
STRIPE_CALLS = Counter("portal_stripe_calls", "Calls to Stripe, by outcome.", ["mode", "outcome"], registry=OWN)
PAYMENT_CALLS = Counter(
    "portal_payment_calls",
    "Calls to Stripe that move money, by outcome: error means no answer or a 5xx, and a decline is refused.",
    ["mode", "outcome"],
    registry=OWN,
)
REPEATED = Counter(
    "portal_idempotency_hits", "Requests that were recognized as repeated, by kind.", ["kind"], registry=OWN
)

# A counter that appears with a 1 has no increase: each begins at 0.
MODES = ("live", "test")
ANSWERS = ("answered", "refused", "unavailable", "key_refused")
for mode in MODES:
    REQUESTS.labels(f"webhooks.{mode}")
    for outcome in (*ANSWERS, "no_answer", "server_error"):
        STRIPE_CALLS.labels(mode, outcome)
    for outcome in (*ANSWERS, "error"):
        PAYMENT_CALLS.labels(mode, outcome)
for kind in ("webhook", "checkout", "credit_entry", "usage_event"):
    REPEATED.labels(kind)
