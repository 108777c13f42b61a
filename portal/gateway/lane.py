"""The calls to Stripe that the portal makes, each in the mode of its lane."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from portal.gateway.calls import PAGE, Params, part
from portal.gateway.customers import Customers
from portal.gateway.payments import Charge, PaymentIntent, Reversal
from portal.gateway.sessions import PaymentLink, Session
from portal.gateway.shapes import Price, Product
from portal.gateway.subscriptions import Subscriptions
from portal.gateway.testing import Testing
from portal.gateway.usage import Usage


class Lane(Customers, Subscriptions, Testing, Usage):
    """One mode's door, its calls by noun; the larger nouns stand in files of their own."""

    # Checkout

    def create_session(self, params: Params, idempotency_key: str) -> Session:
        """POST /v1/checkout/sessions."""
        return Session.read(self._ask("post", "/v1/checkout/sessions", params, idempotency_key))

    def session(self, session_id: str) -> Session:
        """The session as it is now."""
        expand = {"expand": ["payment_intent"]}
        data = self._ask("get", f"/v1/checkout/sessions/{part(session_id)}", expand)
        if data["status"] == "complete" and data["payment_status"] == "unpaid" and data["invoice"]:
            data["payment_intent"] = self._intent_of(data["invoice"])
        return Session.read(data)

    def _intent_of(self, invoice_id: str) -> Params | None:
        """What pays an invoice: a subscription's session names no intent of its own."""
        expand = {"expand": ["payments.data.payment.payment_intent"]}
        payments = self._ask("get", f"/v1/invoices/{part(invoice_id)}", expand)["payments"]["data"]
        return next((one["payment"]["payment_intent"] for one in payments), None)

    def expire_session(self, session_id: str) -> Session:
        """End an open session, so that nobody can pay it. StripeRefused where it is not open any more."""
        return Session.read(self._ask("post", f"/v1/checkout/sessions/{part(session_id)}/expire"))

    def session_price(self, session_id: str) -> Price | None:
        """The price of a session's first line; a session has at least one, but for setup."""
        page = self._ask("get", f"/v1/checkout/sessions/{part(session_id)}/line_items", {"limit": 1})
        return Price.read(page["data"][0]["price"]) if page["data"] else None

    def complete_sessions(self, since: datetime) -> Iterator[Session]:
        """The sessions made since then that were completed, the newest first."""
        params = {"status": "complete", "created": {"gte": int(since.timestamp())}, "limit": PAGE}
        return (Session.read(data) for data in self._list("/v1/checkout/sessions", params))

    def create_payment_link(self, params: Params, idempotency_key: str) -> PaymentLink:
        """POST /v1/payment_links."""
        return PaymentLink.read(self._ask("post", "/v1/payment_links", params, idempotency_key))

    def payment_link(self, link_id: str) -> PaymentLink:
        """The Payment Link as it is now."""
        return PaymentLink.read(self._ask("get", f"/v1/payment_links/{part(link_id)}"))

    # Payments and what takes them back

    def create_payment_intent(self, params: Params, idempotency_key: str) -> PaymentIntent:
        """POST /v1/payment_intents. StripeRefused where the card was declined."""
        expand = {"expand": ["latest_charge"]}
        return PaymentIntent.read(self._ask("post", "/v1/payment_intents", params | expand, idempotency_key))

    def payment_intent(self, intent_id: str) -> PaymentIntent:
        """The payment intent, with its latest charge."""
        expand = {"expand": ["latest_charge"]}
        return PaymentIntent.read(self._ask("get", f"/v1/payment_intents/{part(intent_id)}", expand))

    def payment_intents(self, customer: str) -> list[PaymentIntent]:
        """The customer's newest payment intents, without their charges."""
        page = self._ask("get", "/v1/payment_intents", {"customer": customer, "limit": PAGE})
        return [PaymentIntent.read(data) for data in page["data"]]

    def create_refund(self, params: Params, idempotency_key: str) -> Reversal:
        """POST /v1/refunds. StripeRefused where there is not so much left to give back."""
        return Reversal.read(self._ask("post", "/v1/refunds", params, idempotency_key))

    def refunds(self, payment: str) -> list[Reversal]:
        """All refunds of a payment intent, or of a charge that has none, the newest first."""
        kind = "payment_intent" if payment.startswith("pi_") else "charge"
        params = {kind: payment, "limit": PAGE}
        return [Reversal.read(data) for data in self._list("/v1/refunds", params)]

    def charge(self, charge_id: str) -> Charge:
        """The charge as it is now."""
        return Charge.read(self._ask("get", f"/v1/charges/{part(charge_id)}"))

    def reversal(self, stripe_id: str) -> Reversal:
        """A refund (`re_…`, `pyr_…`) or a dispute (`dp_…`, `du_…`)."""
        path = "disputes" if stripe_id.startswith(("dp_", "du_")) else "refunds"
        return Reversal.read(self._ask("get", f"/v1/{path}/{part(stripe_id)}"))

    def reversals(self, charge_id: str) -> list[Reversal]:
        """All refunds and disputes of a charge, the oldest first."""
        params = {"charge": charge_id, "limit": PAGE}
        found = [
            Reversal.read(data) for path in ("refunds", "disputes") for data in self._list(f"/v1/{path}", params)
        ]
        return sorted(found, key=lambda reversal: (reversal.created, reversal.id))

    def reversals_since(self, since: datetime) -> Iterator[Reversal]:
        """All refunds, then all disputes, of the account that were made since then, each with its charge."""
        params = {"created": {"gte": int(since.timestamp())}, "limit": PAGE, "expand": ["data.charge"]}
        return (
            Reversal.read(data) for path in ("refunds", "disputes") for data in self._list(f"/v1/{path}", params)
        )

    # The catalogue

    def price(self, price_id: str) -> Price:
        """The price, with its product's name."""
        return Price.read(self._ask("get", f"/v1/prices/{part(price_id)}", {"expand": ["product"]}))

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
