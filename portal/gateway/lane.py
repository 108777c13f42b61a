"""The calls to Stripe that the portal makes, each in the mode of its lane."""

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any
from urllib.parse import quote

import stripe
import structlog

from portal.errors import StripeRefused, StripeUnavailable
from portal.gateway.payments import Charge, PaymentIntent, Reversal, SavedMethod
from portal.gateway.shapes import Customer, Invoice, PaymentLink, Price, Product, Session, Subscription

log = structlog.get_logger()

NETWORK_RETRIES = 1  # by the SDK: connection errors, 409 and 5xx, one idempotency key kept
RATE_LIMIT_WAITS = (0.5, 1.0)  # seconds; the SDK does not retry a 429
PAGE = 100

Params = dict[str, Any]


def quoted(object_id: str) -> str:
    """An id as a part of a path: what was typed into an address can name nothing else."""
    return quote(object_id, safe="")


class Lane:
    """One mode's door. Calls with an effect take the idempotency key that the caller made of its row."""

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

    # Customers

    def create_customer(self, params: Params, idempotency_key: str) -> Customer:
        """POST /v1/customers."""
        return Customer.read(self._ask("post", "/v1/customers", params, idempotency_key))

    def customer(self, stripe_id: str) -> Customer:
        """The customer; one that was deleted comes back with `deleted` set."""
        return Customer.read(self._ask("get", f"/v1/customers/{quoted(stripe_id)}"))

    # Checkout

    def create_session(self, params: Params, idempotency_key: str) -> Session:
        """POST /v1/checkout/sessions."""
        return Session.read(self._ask("post", "/v1/checkout/sessions", params, idempotency_key))

    def session(self, session_id: str) -> Session:
        """The session as it is now."""
        expand = {"expand": ["payment_intent"]}
        data = self._ask("get", f"/v1/checkout/sessions/{quoted(session_id)}", expand)
        if data["status"] == "complete" and data["payment_status"] == "unpaid" and data["invoice"]:
            data["payment_intent"] = self._intent_of(data["invoice"])
        return Session.read(data)

    def _intent_of(self, invoice_id: str) -> Params | None:
        """What pays an invoice: a subscription's session names no intent of its own."""
        expand = {"expand": ["payments.data.payment.payment_intent"]}
        payments = self._ask("get", f"/v1/invoices/{quoted(invoice_id)}", expand)["payments"]["data"]
        return next((one["payment"]["payment_intent"] for one in payments), None)

    def expire_session(self, session_id: str) -> Session:
        """End an open session, so that nobody can pay it. StripeRefused where it is not open any more."""
        return Session.read(self._ask("post", f"/v1/checkout/sessions/{quoted(session_id)}/expire"))

    def session_price(self, session_id: str) -> Price | None:
        """The price of a session's first line; a session has at least one, but for setup."""
        page = self._ask("get", f"/v1/checkout/sessions/{quoted(session_id)}/line_items", {"limit": 1})
        return Price.read(page["data"][0]["price"]) if page["data"] else None

    def complete_sessions(self, since: datetime) -> Iterator[Session]:
        """The sessions made since then that were completed, the newest first."""
        params = {"status": "complete", "created": {"gte": int(since.timestamp())}, "limit": PAGE}
        return (Session.read(data) for data in self._list("/v1/checkout/sessions", params))

    def create_payment_link(self, params: Params, idempotency_key: str) -> PaymentLink:
        """POST /v1/payment_links."""
        return PaymentLink.read(self._ask("post", "/v1/payment_links", params, idempotency_key))

    def create_portal_session(self, customer: str, return_url: str) -> str:
        """The address of Stripe's portal for this customer."""
        params = {"customer": customer, "return_url": return_url}
        return str(self._ask("post", "/v1/billing_portal/sessions", params)["url"])

    # Subscriptions and invoices

    def subscription(self, subscription_id: str) -> Subscription:
        """The subscription, with the card that it is paid by."""
        expand = ["default_payment_method", "customer.invoice_settings.default_payment_method"]
        return Subscription.read(
            self._ask("get", f"/v1/subscriptions/{quoted(subscription_id)}", {"expand": expand})
        )

    def invoice(self, invoice_id: str) -> Invoice:
        """The invoice as it is now."""
        return Invoice.read(self._ask("get", f"/v1/invoices/{quoted(invoice_id)}"))

    def open_invoices(self, subscription_id: str) -> list[Invoice]:
        """A subscription's open invoices, newest first."""
        params = {"subscription": subscription_id, "status": "open", "limit": PAGE}
        return [Invoice.read(data) for data in self._list("/v1/invoices", params)]

    # Payments and what takes them back

    def create_payment_intent(self, params: Params, idempotency_key: str) -> PaymentIntent:
        """POST /v1/payment_intents. StripeRefused where the card was declined."""
        expand = {"expand": ["latest_charge"]}
        return PaymentIntent.read(self._ask("post", "/v1/payment_intents", params | expand, idempotency_key))

    def payment_intent(self, intent_id: str) -> PaymentIntent:
        """The payment intent, with its latest charge."""
        expand = {"expand": ["latest_charge"]}
        return PaymentIntent.read(self._ask("get", f"/v1/payment_intents/{intent_id}", expand))

    def payment_intents(self, customer: str) -> list[PaymentIntent]:
        """The customer's newest payment intents, without their charges."""
        page = self._ask("get", "/v1/payment_intents", {"customer": customer, "limit": PAGE})
        return [PaymentIntent.read(data) for data in page["data"]]

    def charge(self, charge_id: str) -> Charge:
        """The charge as it is now."""
        return Charge.read(self._ask("get", f"/v1/charges/{charge_id}"))

    def reversal(self, stripe_id: str) -> Reversal:
        """A refund (`re_…`, `pyr_…`) or a dispute (`dp_…`, `du_…`)."""
        path = "disputes" if stripe_id.startswith(("dp_", "du_")) else "refunds"
        return Reversal.read(self._ask("get", f"/v1/{path}/{stripe_id}"))

    def reversals(self, charge_id: str) -> list[Reversal]:
        """All refunds and disputes of a charge, the oldest first."""
        params = {"charge": charge_id, "limit": PAGE}
        found = [
            Reversal.read(data) for path in ("refunds", "disputes") for data in self._list(f"/v1/{path}", params)
        ]
        return sorted(found, key=lambda reversal: (reversal.created, reversal.id))

    def reversals_since(self, since: datetime) -> Iterator[Reversal]:
        """All refunds, then all disputes, of the account that were made since then."""
        params = {"created": {"gte": int(since.timestamp())}, "limit": PAGE}
        return (
            Reversal.read(data) for path in ("refunds", "disputes") for data in self._list(f"/v1/{path}", params)
        )

    def saved_method(self, customer: str) -> SavedMethod | None:
        """The customer's default payment method, else their newest card; None where nothing is saved."""
        expand = {"expand": ["invoice_settings.default_payment_method"]}
        settings = self._ask("get", f"/v1/customers/{customer}", expand).get("invoice_settings") or {}
        if settings.get("default_payment_method"):
            return SavedMethod.read(settings["default_payment_method"])
        page = self._ask("get", "/v1/payment_methods", {"customer": customer, "type": "card", "limit": 1})
        return SavedMethod.read(page["data"][0]) if page["data"] else None

    # The catalogue

    def price(self, price_id: str) -> Price:
        """The price, with its product's name."""
        return Price.read(self._ask("get", f"/v1/prices/{quoted(price_id)}", {"expand": ["product"]}))

    def prices_by_lookup_key(self, lookup_keys: list[str]) -> list[Price]:
        """The active prices that carry one of these lookup keys (Stripe takes ten at a time)."""
        chunks = [lookup_keys[start : start + 10] for start in range(0, len(lookup_keys), 10)]
        return [
            Price.read(data)
            for chunk in chunks
            for data in self._list("/v1/prices", {"lookup_keys": chunk, "active": True, "limit": PAGE})
        ]

    def create_product(self, params: Params, idempotency_key: str) -> Product:
        """POST /v1/products."""
        return Product.read(self._ask("post", "/v1/products", params, idempotency_key))

    def create_price(self, params: Params, idempotency_key: str) -> Price:
        """POST /v1/prices."""
        return Price.read(self._ask("post", "/v1/prices", params, idempotency_key))

    # Events

    def events(self, **params: Any) -> Iterator[dict[str, Any]]:
        """The account's events, newest first, as parsed JSON; Stripe keeps them for 30 days."""
        return self._list("/v1/events", {**params, "limit": PAGE})

    # How every call is made

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
            return StripeUnavailable("Stripe is having trouble at the moment.", answered=status >= 500)
        log.warning("stripe_refused", message=error.user_message, param=getattr(error, "param", None), **facts)
        words = error.user_message if isinstance(error, stripe.CardError) else None
        return StripeRefused(words or "Stripe did not accept this request.", stripe_code=error.code or "")
