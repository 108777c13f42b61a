"""Faults that tests can cause: lost, delayed, repeated and reordered deliveries, failing and slow calls."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, TypeVar

from flask import request

Json = dict[str, Any]


@dataclass
class Deliveries:
    """hold: keep all · drop, duplicate: the number of next deliveries · reorder: newest first · delay: seconds."""

    hold: bool = False
    drop: int = 0
    duplicate: int = 0
    reorder: bool = False
    delay: float = 0.0


@dataclass
class Settlements:
    """hold: bank debits and refunds with a later result wait until they are flushed."""

    hold: bool = False


@dataclass
class Failures:
    """The next calls whose path begins with path fail with status, wait delay seconds, or get no response.

    hang: the connection closes after delay, nothing was done · after: the call was executed, and the response is
    lost · acted: the call was executed, and status is returned and recorded · a status below 400: the call is only
    slow · method: only calls with this method · skip: the number of calls that succeed first.
    """

    next: int = 0
    status: int = 500
    path: str = "/v1/"
    delay: float = 0.0
    hang: bool = False
    after: bool = False
    acted: bool = False
    method: str = ""
    skip: int = 0


@dataclass(frozen=True)
class Fault:
    """The response of a failing call. With `acted` the operation is still executed."""

    status: int
    body: Json
    acted: bool = False


@dataclass
class Controls:
    """The switches of one running sandbox, which are reset when it stops."""

    deliveries: Deliveries = field(default_factory=Deliveries)
    settlements: Settlements = field(default_factory=Settlements)
    failures: Failures = field(default_factory=Failures)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def state(self) -> Json:
        """Return all switches."""
        kinds = ("deliveries", "settlements", "failures")
        return {name: asdict(getattr(self, name)) for name in kinds}

    @contextlib.contextmanager
    def failing(self, method: str, path: str) -> Iterator[Fault | None]:
        """Yield the fault for this call, if any."""
        plan = self._take(method, path)
        if plan is None:
            yield None
            return
        time.sleep(plan.delay)
        if plan.hang:
            hang_up()
        yield None if plan.after or plan.status < 400 else replace(fault(plan.status), acted=plan.acted)
        if plan.after:
            hang_up()

    def _take(self, method: str, path: str) -> Failures | None:
        with self.lock:
            wanted = self.failures
            if wanted.next < 1 or not path.startswith(wanted.path) or wanted.method not in ("", method):
                return None
            if self.failures.skip > 0:
                self.failures.skip -= 1
                return None
            self.failures.next -= 1
            return Failures(**asdict(self.failures))

    def drops(self) -> bool:
        """Return whether the next delivery is dropped."""
        return self._count("drop")

    def duplicates(self) -> bool:
        """Return whether the next delivery is sent twice."""
        return self._count("duplicate")

    def _count(self, name: str) -> bool:
        with self.lock:
            left = getattr(self.deliveries, name)
            setattr(self.deliveries, name, max(0, left - 1))
            return bool(left > 0)


def fault(status: int) -> Fault:
    """Return Stripe's response with this status."""
    if status == 429:
        words = (
            "Request rate limit exceeded. Learn more about rate limits here https://stripe.com/docs/rate-limits."
        )
        return Fault(429, {"error": {"type": "invalid_request_error", "code": "rate_limit", "message": words}})
    return Fault(status, {"error": {"type": "api_error", "message": "An unknown error occurred"}})


def hang_up() -> None:
    """Close the client's connection without a response."""
    connection: socket.socket = request.environ["werkzeug.socket"]
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


T = TypeVar("T", Deliveries, Settlements, Failures)


def settings(kind: type[T], given: Json) -> T:
    """Parse switches from JSON. Raises ValueError for an unknown name."""
    known = {f.name for f in fields(kind)}
    if given.keys() - known:
        raise ValueError(f"unknown: {', '.join(sorted(given.keys() - known))}; known: {', '.join(sorted(known))}")
    return kind(**given)
