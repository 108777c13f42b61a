"""What the dashboard's buttons do."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api.errors import StripeError
from portal.sandbox.resources import events, test_clocks

Json = dict[str, Any]
HOUR = 60 * 60  # seconds
STEPS = {"An hour": HOUR, "A day": 24 * HOUR, "A week": 7 * 24 * HOUR, "31 days": 31 * 24 * HOUR}


@dataclass(frozen=True)
class Attempt:
    """One delivery of an event; status is the endpoint's, 0 without a response."""

    url: str
    at: float
    status: int


def attempts(account: Account, event: str) -> list[Attempt]:
    """Return the deliveries of an event that were tried, newest first."""
    rows = account.store.rows("SELECT endpoint, at, status FROM attempts WHERE event = ? ORDER BY seq DESC", event)
    return [Attempt(address(account, endpoint), at, status) for endpoint, at, status in rows]


def waiting(account: Account, event: str) -> list[Attempt]:
    """Return the deliveries of an event that are due."""
    sql = "SELECT endpoint, due FROM deliveries WHERE event = ? AND due IS NOT NULL"
    return [Attempt(address(account, endpoint), due, 0) for endpoint, due in account.store.rows(sql, event)]


def address(account: Account, endpoint: str) -> str:
    """Return an endpoint's URL, or its id once it is deleted."""
    return str((account.get(endpoint) or {}).get("url", endpoint))


def resend(account: Account, id_: str, form: Mapping[str, str]) -> None:
    """Deliver an event again to every endpoint that listens to it."""
    events.retry(account, {}, id_)


def advance(account: Account, id_: str, form: Mapping[str, str]) -> None:
    """Advance a test clock by one of the steps. Raises StripeError."""
    step = form.get("step", "")
    if step not in STEPS:
        raise StripeError("There is no such step.", param="step")
    now = account.find(test_clocks.KIND, id_)["frozen_time"]
    test_clocks.advance(account, {"frozen_time": now + STEPS[step]}, id_)


def delete(account: Account, id_: str, form: Mapping[str, str]) -> None:
    """Delete a test clock with its customers."""
    test_clocks.delete(account, {}, id_)


ACTS: dict[tuple[str, str], Callable[[Account, str, Mapping[str, str]], None]] = {
    ("events", "resend"): resend,
    ("test-clocks", "advance"): advance,
    ("test-clocks", "delete"): delete,
}
