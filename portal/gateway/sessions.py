"""What the portal reads of Checkout Sessions and Payment Links, as of API version 2026-10-28.endive."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from portal.gateway.shapes import id_of, time

Json = dict[str, Any]


@dataclass(frozen=True)
class PaymentLink:
    """A Payment Link, its address, and where it sends a buyer who has paid (None: to Stripe's own page)."""

    id: str
    url: str
    redirect: str | None

    @classmethod
    def read(cls, data: Json) -> Self:
        """From /v1/payment_links."""
        after = data.get("after_completion") or {}
        return cls(data["id"], data["url"], (after.get("redirect") or {}).get("url"))


@dataclass(frozen=True)
class Session:
    """A Checkout Session. `kind` is Stripe's word mode: payment, subscription or setup."""

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
    payment_failed: bool  # complete, but its delayed payment came to nothing
    payment_link: str | None
    amount_subtotal: int | None
    amount_total: int | None
    amount_discount: int
    amount_tax: int
    currency: str | None
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def is_paid(self) -> bool:
        """Complete and paid, or complete with nothing to pay; `complete` alone says neither."""
        return self.status == "complete" and self.payment_status in ("paid", "no_payment_required")

    @classmethod
    def read(cls, data: Json) -> Self:
        """From /v1/checkout/sessions with payment_intent expanded."""
        details, totals = data.get("customer_details") or {}, data.get("total_details") or {}
        intent = data.get("payment_intent")
        intent_status = intent["status"] if isinstance(intent, dict) else None
        unpaid = data.get("status") == "complete" and data["payment_status"] == "unpaid"
        nothing = data["mode"] == "setup"  # names no amount, not even zero
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
            metadata=data.get("metadata") or {},
        )
