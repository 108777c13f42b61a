"""How calls to Stripe are made: one client per mode, and errors translated in one place."""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import Any, TypeVar
from urllib.parse import quote

import stripe
import structlog

from portal import dry_run, instruments
from portal.enums import Mode
from portal.errors import StripeRefused, StripeUnavailable

log = structlog.get_logger()

NETWORK_RETRIES = 1  # by the SDK, for connection errors, 409 and 5xx, with the same idempotency key
RATE_LIMIT_WAITS = (0.5, 1.0)  # seconds; the SDK does not retry a 429
PAGE = 100
SECONDS = 10  # until a call counts as unanswered
QUICK_SECONDS = 2  # for a call that a page waits for and can do without
AT_ONCE = 8  # calls of one page; Stripe allows 25 a second in test mode, 100 in live mode
# Ids that Stripe creates are letters, digits and underscores. People choose the ids of old plans, coupons and
# products.
OBJECT_ID = re.compile(r"[A-Za-z0-9_][^/\\?#%\x00-\x1f\x7f]{0,254}")
UNKNOWN = "resource_missing"  # Stripe's code for an unknown object

Params = dict[str, Any]
Answer = TypeVar("Answer")

_give_up_at: ContextVar[float | None] = ContextVar("give_up_at", default=None)


@contextmanager
def quickly() -> Iterator[None]:
    """Make the calls of this block with a short timeout and without retries, for a page that can do without them.

    After that time no further call is made. Both raise StripeUnavailable.
    """
    token = _give_up_at.set(time.monotonic() + QUICK_SECONDS)
    try:
        yield
    finally:
        _give_up_at.reset(token)


def together(calls: Sequence[Callable[[], Answer]]) -> list[Answer]:
    """Make several calls at once and return their results in order. Raises the first error."""
    if len(calls) < 2:
        return [call() for call in calls]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        asked = [pool.submit(copy_context().run, call) for call in calls]
    return [one.result() for one in asked]


def part(object_id: str) -> str:
    """Return an id as a path segment. Raises StripeRefused, as for an unknown object, if it cannot be an id.

    Ids come from webhooks and from URLs that people type: `../charges` must not become another call.
    """
    if not OBJECT_ID.fullmatch(object_id):
        raise StripeRefused("Stripe knows no object with this id.", stripe_code=UNKNOWN)
    return quote(object_id, safe="")


def _client(key: str, base: str | None, timeout: float, retries: int) -> stripe.StripeClient:
    return stripe.StripeClient(
        key,
        base_addresses={"api": base} if base else {},
        max_network_retries=retries,
        http_client=stripe.RequestsClient(timeout=timeout),
    )


class Calls:
    """The client of one mode. Calls with an effect take an idempotency key that the caller derives from its
    row.
    """

    def __init__(
        self,
        mode: Mode,
        *,
        key: str | None,
        base: str | None,
        timeout: float,
        before_call: Callable[[], None] | None = None,
    ) -> None:
        self.mode = mode
        self.livemode = "_live_" in (key or "")
        self.key_name = "STRIPE_SECRET_KEY" if mode == Mode.LIVE else "STRIPE_TEST_SECRET_KEY"
        self._before_call = before_call
        self._client = key and _client(key, base, timeout, NETWORK_RETRIES)
        self._quick_client = key and _client(key, base, min(timeout, QUICK_SECONDS), 0)

    @property
    def is_configured(self) -> bool:
        """Return whether this mode has a key."""
        return bool(self._client)

    def _list(self, path: str, params: Params) -> Iterator[dict[str, Any]]:
        while True:
            page = self._ask("get", path, params)
            yield from page["data"]
            if not page["has_more"]:
                return
            params = params | {"starting_after": page["data"][-1]["id"]}

    def _ask(self, method: str, path: str, params: Params | None = None, idempotency_key: str = "") -> Any:
        """Make one call and return its data. Raises only StripeRefused or StripeUnavailable."""
        return self._response(method, path, params, idempotency_key).data

    def _response(self, method: str, path: str, params: Params | None = None, idempotency_key: str = "") -> Any:
        """Make one call and count its outcome. Raises only StripeRefused or StripeUnavailable."""
        if self._before_call:
            self._before_call()
        if method != "get" and dry_run.under_way():
            raise dry_run.WouldAct(f"{method.upper()} {path}")
        if not self._client:
            log.error("stripe_not_configured", missing=self.key_name)
            words = f"{self.key_name} is not set, so there is no Stripe account in {self.mode} mode."
            raise StripeUnavailable("Payments are not set up yet.", operator=words)
        began, outcome = time.perf_counter(), "answered"
        try:
            return self._try(self._client, method, path, params, idempotency_key)
        except StripeRefused:
            outcome = "refused"
            raise
        except StripeUnavailable as error:
            outcome = error.outcome
            raise
        finally:
            instruments.STRIPE_SECONDS.labels(self.mode).observe(time.perf_counter() - began)
            instruments.STRIPE_CALLS.labels(self.mode, outcome).inc()

    def _try(
        self, client: stripe.StripeClient, method: str, path: str, params: Params | None, idempotency_key: str
    ) -> Any:
        """Make one call, retrying a 429 with backoff."""
        options = {"idempotency_key": idempotency_key} if idempotency_key else {}
        give_up_at = _give_up_at.get()
        if give_up_at is not None and time.monotonic() > give_up_at:
            raise StripeUnavailable("Stripe did not answer in time.")
        if give_up_at is not None and self._quick_client:
            client = self._quick_client
        for wait in (*RATE_LIMIT_WAITS, None) if give_up_at is None else (None,):
            try:
                return client.raw_request(method, path, **(params or {}), **options)
            except stripe.RateLimitError as error:
                if wait is None:
                    raise self._counted(error, path) from error
                time.sleep(wait)
            except stripe.StripeError as error:
                raise self._counted(error, path) from error
        raise AssertionError("unreachable")

    def _counted(self, error: stripe.StripeError, path: str) -> StripeRefused | StripeUnavailable:
        """Return the error for the caller, with the outcome that /metrics counts it as."""
        found = self._translate(error, path)
        if isinstance(found, StripeUnavailable):
            if isinstance(error, stripe.AuthenticationError | stripe.PermissionError):
                found.outcome = "key_refused"
            elif isinstance(error, stripe.APIConnectionError):
                found.outcome = "no_answer"
            elif (error.http_status or 500) >= 500:
                found.outcome = "server_error"
        return found

    def _translate(self, error: stripe.StripeError, path: str) -> StripeRefused | StripeUnavailable:
        facts = {
            "path": path,
            "status": error.http_status,
            "stripe_code": error.code,
            "stripe_request": error.request_id,
        }
        if isinstance(error, stripe.AuthenticationError | stripe.PermissionError):
            log.error("stripe_key_refused", setting=self.key_name, **facts)
            return StripeUnavailable("Payments are not available at the moment.", operator=self._refused(error))
        if isinstance(error, stripe.APIConnectionError):
            log.warning("stripe_no_answer", **facts)
            return StripeUnavailable("Stripe did not answer in time.")
        # 409: another call with this idempotency key is in progress. Like a 429, or a proxy's page (which arrives
        # with a 200), it says nothing about the outcome.
        status = error.http_status or 500
        if status < 400 or status in (409, 429) or status >= 500:
            log.warning("stripe_unavailable", **facts)
            failure = "server_error" if status >= 500 else ""
            return StripeUnavailable("Stripe is having trouble at the moment.", failure=failure)
        if isinstance(error, stripe.IdempotencyError):  # an upgrade has changed our parameters
            log.error("stripe_key_reused", **facts)
            return StripeUnavailable("Stripe has answered this differently before.", failure="other_parameters")
        param = getattr(error, "param", None) or ""
        log.warning("stripe_refused", message=error.user_message, param=param, **facts)
        words = error.user_message if isinstance(error, stripe.CardError) else None
        return StripeRefused(
            words or "Stripe did not accept this request.", stripe_code=error.code or "", param=param
        )

    def _refused(self, error: stripe.StripeError) -> str:
        """Say which setting holds the key that Stripe refused. Stripe's own message repeats part of the key."""
        if isinstance(error, stripe.PermissionError):
            return f"The key in {self.key_name} lacks a permission: see docs/going-live.md for those it needs."
        return f"Stripe does not accept the key in {self.key_name}: it is wrong, expired or revoked."
