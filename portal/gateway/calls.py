"""How every call to Stripe is made: one client a mode, and errors translated once."""

import re
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import stripe
import structlog

from portal import rehearsal
from portal.errors import StripeRefused, StripeUnavailable

log = structlog.get_logger()

NETWORK_RETRIES = 1  # by the SDK: connection errors, 409 and 5xx, one idempotency key kept
RATE_LIMIT_WAITS = (0.5, 1.0)  # seconds; the SDK does not retry a 429
PAGE = 100
# Stripe's own ids are letters, digits and underscores; people chose those of old plans, coupons and products.
OBJECT_ID = re.compile(r"[A-Za-z0-9_][^/\\?#%\x00-\x1f\x7f]{0,254}")
UNKNOWN = "resource_missing"  # Stripe's code for an object that it does not know

Params = dict[str, Any]


def part(object_id: str) -> str:
    """Return an id as a part of a path. Raises StripeRefused, as for an unknown one, for what can be no id.

    Ids come from webhooks and from addresses that people type: `../charges` must not become another call.
    """
    if not OBJECT_ID.fullmatch(object_id):
        raise StripeRefused("Stripe knows no object with this id.", stripe_code=UNKNOWN)
    return quote(object_id, safe="")


class Calls:
    """One mode's client. Calls with an effect take the idempotency key that the caller made of its row."""

    def __init__(
        self,
        mode: str,
        *,
        key: str | None,
        base: str | None,
        timeout: float,
        before_call: Callable[[], None] | None = None,
    ) -> None:
        self.mode = mode
        self.livemode = "_live_" in (key or "")
        self.key_name = "STRIPE_SECRET_KEY" if mode == "live" else "STRIPE_TEST_SECRET_KEY"
        self._before_call = before_call
        self._client = key and stripe.StripeClient(
            key,
            base_addresses={"api": base} if base else {},
            max_network_retries=NETWORK_RETRIES,
            http_client=stripe.RequestsClient(timeout=timeout),
        )

    @property
    def is_configured(self) -> bool:
        """Whether this mode has a key."""
        return bool(self._client)

    def _list(self, path: str, params: Params) -> Iterator[dict[str, Any]]:
        while True:
            page = self._ask("get", path, params)
            yield from page["data"]
            if not page["has_more"]:
                return
            params = params | {"starting_after": page["data"][-1]["id"]}

    def _ask(self, method: str, path: str, params: Params | None = None, idempotency_key: str = "") -> Any:
        """One call, 429 retried with back-off. Raises StripeRefused or StripeUnavailable, nothing else."""
        if self._before_call:
            self._before_call()
        if method != "get" and rehearsal.under_way():
            raise rehearsal.WouldAct(f"{method.upper()} {path}")
        if not self._client:
            log.error("stripe_not_configured", missing=self.key_name)
            raise StripeUnavailable("Payments are not set up yet.")
        options = {"idempotency_key": idempotency_key} if idempotency_key else {}
        for wait in (*RATE_LIMIT_WAITS, None):
            try:
                return self._client.raw_request(method, path, **(params or {}), **options).data
            except stripe.RateLimitError as error:
                if wait is None:
                    raise self._translate(error, path) from error
                time.sleep(wait)
            except stripe.StripeError as error:
                raise self._translate(error, path) from error
        raise AssertionError("unreachable")

    def _translate(self, error: stripe.StripeError, path: str) -> StripeRefused | StripeUnavailable:
        facts = {
            "path": path,
            "status": error.http_status,
            "stripe_code": error.code,
            "stripe_request": error.request_id,
        }
        if isinstance(error, stripe.AuthenticationError | stripe.PermissionError):
            log.error("stripe_key_refused", setting=self.key_name, **facts)
            return StripeUnavailable("Payments are not available at the moment.")
        if isinstance(error, stripe.APIConnectionError):
            log.warning("stripe_no_answer", **facts)
            return StripeUnavailable("Stripe did not answer in time.")
        # 409: another call with this idempotency key is under way. Like a 429, or the page of a proxy in
        # between (which comes with a 200), it says nothing about the outcome.
        status = error.http_status or 500
        if status < 400 or status in (409, 429) or status >= 500:
            log.warning("stripe_unavailable", **facts)
            failure = "server_error" if status >= 500 else ""
            return StripeUnavailable("Stripe is having trouble at the moment.", failure=failure)
        if isinstance(error, stripe.IdempotencyError):  # with a release our parameters have changed
            log.error("stripe_key_reused", **facts)
            return StripeUnavailable("Stripe has answered this differently before.", failure="other_parameters")
        log.warning("stripe_refused", message=error.user_message, param=getattr(error, "param", None), **facts)
        words = error.user_message if isinstance(error, stripe.CardError) else None
        return StripeRefused(words or "Stripe did not accept this request.", stripe_code=error.code or "")
