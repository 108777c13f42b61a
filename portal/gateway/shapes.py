"""What the portal reads of Stripe's objects, as of API version 2026-10-28.endive.

Each class has a `read` that takes the parsed JSON of the object. Amounts are minor units of `currency`,
times aware UTC. Fields that Stripe moved over the years are read where they are today.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Self

Json = dict[str, Any]


def time(seconds: int | None) -> datetime | None:
    """Stripe's seconds since 1970 as an aware time; null stays None."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def id_of(value: str | Json | None) -> str | None:
    """The id of a field that may be expanded."""
    return value["id"] if isinstance(value, dict) else value


@dataclass(frozen=True)
class Card:
    """A saved card as it is shown: never more than the last four digits.

    `fingerprint` is the same for one card under any customer; some wallets have none.
    """

    brand: str
    last4: str
    exp_month: int
    exp_year: int
    fingerprint: str | None = None

    @classmethod
    def read(cls, method: str | Json | None) -> "Card | None":
        """From an expanded payment method; None for other methods, or where it is not expanded."""
        card = method.get("card") if isinstance(method, dict) else None
        if not card:
            return None
        return cls(
            card["brand"], card["last4"], card["exp_month"], card["exp_year"], card.get("fingerprint") or None
        )


@dataclass(frozen=True)
class Product:
    """A product at Stripe."""

    id: str
    name: str
    active: bool

    @classmethod
    def read(cls, data: Json) -> Self:
        """From /v1/products."""
        return cls(data["id"], data.get("name") or "", bool(data.get("active")))


@dataclass(frozen=True)
class Price:
    """A price at Stripe. `interval` is None for a one-time price; `amount` is None where tiers decide.

    `unit_amount` is the exact price of one, in minor units: a part of a cent where usage is metered.
    """

    id: str
    product: str
    product_name: str  # empty unless the product was expanded
    active: bool  # and its product, where that was expanded
    amount: int | None
    unit_amount: Decimal | None
    currency: str
    interval: str | None
    interval_count: int
    metered: bool
    lookup_key: str | None
    tier: str | None

    @classmethod
    def read(cls, data: Json) -> Self:
        """From /v1/prices, or a price inside another object."""
        product, recurring = data["product"], data.get("recurring") or {}
        return cls(
            id=data["id"],
            product=id_of(product) or "",
            product_name=product.get("name", "") if isinstance(product, dict) else "",
            active=bool(data.get("active"))
            and (not isinstance(product, dict) or bool(product.get("active", True))),
            amount=data.get("unit_amount"),
            unit_amount=_unit_amount(data),
            currency=data["currency"],
            interval=recurring.get("interval"),
            interval_count=recurring.get("interval_count") or 1,
            metered=recurring.get("usage_type") == "metered",
            lookup_key=data.get("lookup_key"),
            tier=(data.get("metadata") or {}).get("tier") or None,
        )


def _unit_amount(data: Json) -> Decimal | None:
    """What one costs: Stripe can count in packages ("per 1,000"), and names the package's price then."""
    exact = data.get("unit_amount_decimal")
    if exact is None:
        return None
    return Decimal(str(exact)) / ((data.get("transform_quantity") or {}).get("divide_by") or 1)


@dataclass(frozen=True)
class InvoicePayment:
    """A payment of an invoice, which may have several; `amount` is what it has paid of it, in minor units."""

    id: str
    payment_intent: str | None
    charge: str | None
    amount: int
    is_paid: bool
    paid_at: datetime | None
    waits_for_payer: bool  # known only where the payment intent was expanded

    @classmethod
    def read(cls, data: Json) -> Self:
        """From /v1/invoice_payments, or an invoice's expanded `payments`."""
        payment = data["payment"]
        intent = payment.get("payment_intent")
        return cls(
            id=data["id"],
            payment_intent=id_of(intent),
            charge=id_of(payment.get("charge")),
            amount=data.get("amount_paid") or 0,
            is_paid=data.get("status") == "paid",
            paid_at=time((data.get("status_transitions") or {}).get("paid_at")),
            waits_for_payer=isinstance(intent, dict) and intent["status"] == "requires_action",
        )


def _failed(invoice: Json) -> bool:
    """Whether what was to pay an invoice has come to nothing."""
    ties = (invoice.get("payments") or {}).get("data") or []
    intents = [tie["payment"].get("payment_intent") for tie in ties]
    return {one["status"] for one in intents if isinstance(one, dict)} == {"requires_payment_method"}


@dataclass(frozen=True)
class Invoice:
    """An invoice. `subscription` is None for a manual one; `needs_action`: its payer has to confirm it.

    `payments` is empty where they were not expanded.
    """

    id: str
    customer: str | None
    subscription: str | None
    number: str | None
    status: str
    total: int
    amount_paid: int
    amount_due: int
    currency: str
    hosted_url: str | None
    pdf_url: str | None
    created: datetime
    attempted: bool
    needs_action: bool
    next_attempt_at: datetime | None  # None: Stripe does not try by itself
    paid_at: datetime | None
    livemode: bool
    payments: tuple[InvoicePayment, ...] = ()
    metadata: dict[str, str] = field(default_factory=dict)
    finalization_error: str | None = None  # Stripe's code for why a draft cannot be finalized
    payment_failed: bool = False  # open, and what was to pay it has come to nothing

    @classmethod
    def read(cls, data: Json) -> Self:
        """From /v1/invoices: the subscription stands in `parent` since basil.

        Only where its payments are expanded it is known what pays it, and whether that waits for its payer.
        """
        parent = data.get("parent") or {}
        details = parent.get("subscription_details") or {}
        payments = tuple(InvoicePayment.read(one) for one in (data.get("payments") or {}).get("data") or [])
        return cls(
            id=data["id"],
            customer=id_of(data.get("customer")),
            subscription=id_of(details.get("subscription")),
            number=data.get("number"),
            status=data.get("status") or "draft",
            total=data["total"],
            amount_paid=data["amount_paid"],
            amount_due=data["amount_due"],
            currency=data["currency"],
            hosted_url=data.get("hosted_invoice_url"),
            pdf_url=data.get("invoice_pdf"),
            created=datetime.fromtimestamp(data["created"], UTC),
            attempted=bool(data.get("attempted")),
            needs_action=data.get("status") == "open" and any(one.waits_for_payer for one in payments),
            payment_failed=data.get("status") == "open" and bool(data.get("attempted")) and _failed(data),
            next_attempt_at=time(data.get("next_payment_attempt")),
            paid_at=time((data.get("status_transitions") or {}).get("paid_at")),
            livemode=data["livemode"],
            payments=payments,
            metadata=data.get("metadata") or {},
            finalization_error=(data.get("last_finalization_error") or {}).get("code"),
        )
