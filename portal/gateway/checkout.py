"""Checkout Sessions and Payment Links."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

from portal.gateway.calls import PAGE, Calls, Params, part
from portal.gateway.fields import Json, id_of, time
from portal.gateway.products import Price


@dataclass(frozen=True)
class PaymentLink:
    """A Payment Link, its URL, and the URL that it redirects to after payment (None: Stripe's own page)."""

    id: str
    url: str
    redirect: str | None
    trial_days: int = 0  # before its recurring prices are charged

    @classmethod
    def read(cls, data: Json) -> Self:
        """Read an object from /v1/payment_links."""
        after, kept = data.get("after_completion") or {}, data.get("subscription_data") or {}
        redirect = (after.get("redirect") or {}).get("url")
        return cls(data["id"], data["url"], redirect, kept.get("trial_period_days") or 0)


@dataclass(frozen=True)
class Session:
    """A Checkout Session. `kind` is Stripe's `mode`: payment, subscription or setup."""

    id: str
    kind: str
    status: str  # open, complete, expired
    payment_status: str  # paid, unpaid, no_payment_required
    livemode: bool
    url: str | None
    success_url: str | None
    expires_at: datetime | None
    customer: str | None
    email: str
    subscription: str | None
    invoice: str | None
    payment_intent: str | None
    setup_intent: str | None
    payment_failed: bool  # complete, but its delayed payment failed
    payment_link: str | None
    amount_subtotal: int | None
    amount_total: int | None
    amount_discount: int
    amount_tax: int
    currency: str | None
    created: datetime | None
    takes_codes: bool  # buyers may enter promotion codes
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def is_paid(self) -> bool:
        """Return whether it is complete and paid, or complete with nothing to pay. `complete` alone says
        neither.
        """
        return self.status == "complete" and self.payment_status in ("paid", "no_payment_required")

    @classmethod
    def read(cls, data: Json) -> Self:
        """Read an object from /v1/checkout/sessions with payment_intent expanded."""
        details, totals = data.get("customer_details") or {}, data.get("total_details") or {}
        intent = data.get("payment_intent")
        intent_status = intent["status"] if isinstance(intent, dict) else None
        unpaid = data.get("status") == "complete" and data["payment_status"] == "unpaid"
        nothing = data["mode"] == "setup"  # has no amount, not even zero
        return cls(
            id=data["id"],
            kind=data["mode"],
            status=data.get("status") or "open",
            payment_status=data["payment_status"],
            livemode=data["livemode"],
            url=data.get("url"),
            success_url=data.get("success_url"),
            expires_at=time(data.get("expires_at")),
            customer=id_of(data.get("customer")),
            email=details.get("email") or data.get("customer_email") or "",
            subscription=id_of(data.get("subscription")),
            invoice=id_of(data.get("invoice")),
            payment_intent=id_of(intent),
            setup_intent=id_of(data.get("setup_intent")),
            payment_failed=unpaid and intent_status in ("requires_payment_method", "canceled"),
            payment_link=id_of(data.get("payment_link")),
            amount_subtotal=0 if nothing else data.get("amount_subtotal"),
            amount_total=0 if nothing else data.get("amount_total"),
            amount_discount=totals.get("amount_discount") or 0,
            amount_tax=totals.get("amount_tax") or 0,
            currency=data.get("currency"),
            created=time(data.get("created")),
            takes_codes=bool(data.get("allow_promotion_codes")),
            metadata=data.get("metadata") or {},
        )


@dataclass(frozen=True)
class SessionLine:
    """A line of a session: what it sells, and what it charges today, before discounts and taxes."""

    price: Price
    quantity: int
    amount: int
    description: str

    @property
    def cost(self) -> int:
        """Return its list price, for a period if it recurs. During a trial it charges nothing."""
        cost = 0 if self.price.metered else self.price.cost(self.quantity)
        return self.amount if cost is None else cost

    @classmethod
    def read(cls, data: Json) -> Self:
        """Read an element of line_items, whose price can have several currencies."""
        price, quantity = Price.read(data["price"]), data.get("quantity") or 1
        within = price.within(data["currency"]) or price
        return cls(within, quantity, data["amount_subtotal"], data.get("description") or "")


class CheckoutCalls(Calls):
    """The calls for Checkout Sessions and Payment Links."""

    def create_session(self, params: Params, idempotency_key: str) -> Session:
        """Call POST /v1/checkout/sessions."""
        return Session.read(self._ask("post", "/v1/checkout/sessions", params, idempotency_key))

    def session(self, session_id: str) -> Session:
        """Fetch the session as it is now."""
        expand = {"expand": ["payment_intent"]}
        data = self._ask("get", f"/v1/checkout/sessions/{part(session_id)}", expand)
        if data["status"] == "complete" and data["payment_status"] == "unpaid" and data["invoice"]:
            data["payment_intent"] = self._intent_of(data["invoice"])
        return Session.read(data)

    def _intent_of(self, invoice_id: str) -> Params | None:
        """Return the payment intent of an invoice. A subscription's session names none itself."""
        expand = {"expand": ["payments.data.payment.payment_intent"]}
        payments = self._ask("get", f"/v1/invoices/{part(invoice_id)}", expand)["payments"]["data"]
        return next((one["payment"].get("payment_intent") for one in payments), None)

    def expire_session(self, session_id: str) -> Session:
        """Expire an open session, so that nobody can pay it. Raises StripeRefused if it is no longer open."""
        return Session.read(self._ask("post", f"/v1/checkout/sessions/{part(session_id)}/expire"))

    def session_lines(self, session_id: str) -> tuple[SessionLine, ...]:
        """Fetch a session's lines, their prices in all currencies. A setup session has none."""
        params = {"limit": PAGE, "expand": ["data.price.currency_options", "data.price.tiers"]}
        listed = self._list(f"/v1/checkout/sessions/{part(session_id)}/line_items", params)
        return tuple(SessionLine.read(data) for data in listed)

    def complete_sessions(self, since: datetime) -> Iterator[Session]:
        """Yield the sessions created since then that were completed, newest first."""
        params = {"status": "complete", "created": {"gte": int(since.timestamp())}, "limit": PAGE}
        return (Session.read(data) for data in self._list("/v1/checkout/sessions", params))

    def create_payment_link(self, params: Params, idempotency_key: str) -> PaymentLink:
        """Call POST /v1/payment_links."""
        return PaymentLink.read(self._ask("post", "/v1/payment_links", params, idempotency_key))

    def payment_link(self, link_id: str) -> PaymentLink:
        """Fetch the Payment Link as it is now."""
        return PaymentLink.read(self._ask("get", f"/v1/payment_links/{part(link_id)}"))
