"""What is an alert: the critical and warning rules of docs/alerts.yml, for operators without Prometheus."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

RATIO_NEEDS = 20  # in its window
MANY_CANCELED, TIMES_THE_MEAN = 5, 3

CRITICAL, WARNING = "critical", "warning"
SEVERITY = {
    "database": CRITICAL,
    "webhook failures": CRITICAL,
    "payment errors": CRITICAL,
    "webhook latency": WARNING,
    "Stripe errors": WARNING,
    "cancellations": WARNING,
}
# Measured by the processes of one host; the others are the same on each host.
OF_A_HOST = ("database", "payment errors", "webhook latency", "Stripe errors")
DATABASE = "The database cannot be reached. Pages and webhooks answer 503."

Numbers = Mapping[str, float]


@dataclass(frozen=True)
class Ratio:
    """More than `limit` of the increase of one counter, of that of another, in so many minutes."""

    name: str
    part: str
    whole: str
    limit: float
    minutes: int
    words: str
    needs: int = RATIO_NEEDS


RATIOS = (
    Ratio("webhook failures", "events_failed", "events", 0.05, 5, "attempts to handle a Stripe event failed"),
    Ratio(
        "payment errors",
        "payment_errors",
        "payment_calls",
        0.01,
        15,
        "calls that move money got no answer or a 5xx",
    ),
    Ratio("webhook latency", "webhooks_slow", "webhooks", 0.05, 5, "webhook deliveries took over 5 seconds", 1),
    Ratio("Stripe errors", "stripe_errors", "stripe_calls", 0.05, 15, "calls to Stripe failed"),
)


def holding(increase: Mapping[int, Numbers], canceled: tuple[int, float]) -> Iterator[tuple[str, str]]:
    """Yield the name and the words of each rule that holds now.

    `increase` has that of each counter, by the minutes of a window; `canceled` is how many subscriptions were
    canceled in a day, and the mean of a day before.
    """
    for one in RATIOS:
        grown = increase[one.minutes]
        part, whole = grown.get(one.part, 0), grown.get(one.whole, 0)
        if whole >= one.needs and part > one.limit * whole:
            yield one.name, f"{part:.0f} of {whole:.0f} {one.words} in {one.minutes} minutes."
    day, mean = canceled
    if day >= MANY_CANCELED and day >= TIMES_THE_MEAN * mean:
        yield "cancellations", f"{day} subscriptions were canceled in 24 hours; the mean of a day is {mean:.1f}."
