"""Invoices, their items and payments."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Self

from portal.gateway.calls import PAGE, Calls, Params, part
from portal.gateway.fields import Json, id_of, time
from portal.gateway.payments import Charge

UNPAID = 20  # invoices of one customer that a page shows


@dataclass(frozen=True)
class InvoicePayment:
    """A payment of an invoice, which can have several. `amount` is the part that it paid, in minor units."""

    id: str
    payment_intent: str | None
    charge: str | None
    amount: int
    is_paid: bool
    paid_at: datetime | None
    waits_for_payer: bool  # known only if the payment intent was expanded

    @classmethod
    def read(cls, data: Json) -> Self:
        """Read an object from /v1/invoice_payments, or from an invoice's expanded `payments`."""
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


@dataclass(frozen=True)
class InvoiceLine:
    """A line of an invoice that has a price, and the time that it is for. Unused time is a negative `amount`."""

    price_id: str
    amount: int
    starts_at: datetime
    ends_at: datetime

    @classmethod
    def read(cls, data: Json) -> Self | None:
        """Read a line from invoice.lines.data; return None for one without a price."""
        price = ((data.get("pricing") or {}).get("price_details") or {}).get("price")
        starts, ends = time(data["period"]["start"]), time(data["period"]["end"])
        if price is None or starts is None or ends is None:
            return None
        return cls(id_of(price) or "", data["amount"], starts, ends)

    @classmethod
    def read_all(cls, listed: Json | None) -> tuple[Self, ...]:
        """Read the lines that have a price."""
        return tuple(line for one in (listed or {}).get("data") or [] if (line := cls.read(one)))


def _first_line(invoice: Json) -> str:
    lines = (invoice.get("lines") or {}).get("data") or []
    return next((one["description"] for one in lines if one.get("description")), "")


def _failed(invoice: Json) -> bool:
    """Return whether the payment of an invoice has failed."""
    ties = (invoice.get("payments") or {}).get("data") or []
    intents = [tie["payment"].get("payment_intent") for tie in ties]
    return {one["status"] for one in intents if isinstance(one, dict)} == {"requires_payment_method"}


@dataclass(frozen=True)
class Invoice:
    """An invoice. `subscription` is None for a manual one. `needs_action`: the payer has to confirm the payment.

    `payments` is empty if they were not expanded.
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
    next_attempt_at: datetime | None  # None: Stripe does not retry automatically
    paid_at: datetime | None
    livemode: bool
    payments: tuple[InvoicePayment, ...] = ()
    lines: tuple[InvoiceLine, ...] = ()
    metadata: dict[str, str] = field(default_factory=dict)
    finalization_error: str | None = None  # Stripe's code for why a draft cannot be finalized
    payment_failed: bool = False  # open, and its payment has failed
    amount_remaining: int = 0  # still to be paid
    finalizes_at: datetime | None = None  # when a draft is finalized and charged; None: when somebody does it
    due_at: datetime | None = None  # of a sent invoice
    is_sent: bool = False  # sent to be paid, instead of charged
    description: str = ""  # what it is for: its own text, else its first line's
    starting_balance: int = 0  # the customer's balance before it was finalized; negative: a credit
    ending_balance: int | None = None  # and afterwards; None for a draft
    credited_due: int = 0  # what credit notes took off what was to be paid
    credited_paid: int = 0  # what credit notes returned after the payment

    @property
    def from_balance(self) -> int:
        """Return the change of the customer's balance: positive if it paid a part, negative if it got credit."""
        return 0 if self.ending_balance is None else self.ending_balance - self.starting_balance

    @classmethod
    def read(cls, data: Json) -> Self:
        """Read an object from /v1/invoices. The subscription is in `parent` since API version basil.

        Only expanded payments say what pays the invoice, and whether the payment waits for the payer.
        """
        details = (data.get("parent") or {}).get("subscription_details") or {}
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
            lines=InvoiceLine.read_all(data.get("lines")),
            metadata=data.get("metadata") or {},
            finalization_error=(data.get("last_finalization_error") or {}).get("code"),
            amount_remaining=data.get("amount_remaining") or 0,
            finalizes_at=time(data.get("automatically_finalizes_at")) if data.get("auto_advance") else None,
            due_at=time(data.get("due_date")),
            is_sent=data.get("collection_method") == "send_invoice",
            description=data.get("description") or _first_line(data),
            starting_balance=data.get("starting_balance") or 0,
            ending_balance=data.get("ending_balance"),
            credited_due=data.get("pre_payment_credit_notes_amount") or 0,
            credited_paid=data.get("post_payment_credit_notes_amount") or 0,
        )


@dataclass(frozen=True)
class InvoiceItem:
    """An item that was added to an invoice. `amount` is in minor units."""

    id: str
    amount: int
    metadata: dict[str, str]

    @classmethod
    def read(cls, data: Json) -> Self:
        """Read an object from /v1/invoiceitems."""
        return cls(data["id"], data["amount"], data.get("metadata") or {})


class InvoiceCalls(Calls):
    """The calls for invoices."""

    def invoice(self, invoice_id: str) -> Invoice:
        """Fetch the invoice as it is now, and whether its payment waits for the payer."""
        path, expand = f"/v1/invoices/{part(invoice_id)}", {"expand": ["payments.data.payment.payment_intent"]}
        data = self._ask("get", path, expand)
        if (data.get("lines") or {}).get("has_more"):  # it contains ten lines at most
            data = dict(data) | {"lines": {"data": list(self._list(f"{path}/lines", {"limit": PAGE}))}}
        return Invoice.read(data)

    def invoice_of(self, charge: Charge) -> str | None:
        """Return the id of the invoice that a charge paid; None for other payments.

        Stripe finds an invoice's payments by payment intent, not by charge. For a charge without one, the
        customer's hundred newest invoices up to it are read.
        """
        if charge.payment_intent:
            payment = {"type": "payment_intent", "payment_intent": charge.payment_intent}
            page = self._ask("get", "/v1/invoice_payments", {"payment": payment, "limit": 1})
            return str(page["data"][0]["invoice"]) if page["data"] else None
        if charge.customer is None:
            return None
        until = {"lte": int(charge.created.timestamp())}
        params = {"customer": charge.customer, "created": until, "limit": PAGE, "expand": ["data.payments"]}
        found = (Invoice.read(data) for data in self._ask("get", "/v1/invoices", params)["data"])
        return next((one.id for one in found if charge.id in {tie.charge for tie in one.payments}), None)

    def open_invoices(self, subscription_id: str) -> list[Invoice]:
        """List a subscription's open invoices, newest first."""
        params = {"subscription": subscription_id, "status": "open", "limit": PAGE}
        return [Invoice.read(data) for data in self._list("/v1/invoices", params)]

    def latest_invoices(self, subscription_id: str, limit: int) -> list[Invoice]:
        """List a subscription's newest invoices with their payments, but not whether one waits for its payer."""
        params = {"subscription": subscription_id, "limit": limit, "expand": ["data.payments"]}
        page = self._ask("get", "/v1/invoices", params)
        return [Invoice.read(data) for data in page["data"]]

    def unpaid_invoices(self, customer: str, status: str) -> list[Invoice]:
        """List a customer's newest invoices that are drafts or open, but not whether one waits for its payer."""
        params = {"customer": customer, "status": status, "limit": UNPAID}
        return [Invoice.read(data) for data in self._ask("get", "/v1/invoices", params)["data"]]

    def invoices_since(self, customer: str, since: datetime) -> Iterator[Invoice]:
        """Yield a customer's invoices created since then, newest first, including drafts."""
        params = {"customer": customer, "created": {"gte": int(since.timestamp())}, "limit": PAGE}
        return (Invoice.read(data) for data in self._list("/v1/invoices", params))

    def create_invoice(self, params: Params, idempotency_key: str) -> Invoice:
        """Call POST /v1/invoices, which creates a draft."""
        return Invoice.read(self._ask("post", "/v1/invoices", params, idempotency_key))

    def create_invoice_item(self, params: Params, idempotency_key: str) -> InvoiceItem:
        """Call POST /v1/invoiceitems."""
        return InvoiceItem.read(self._ask("post", "/v1/invoiceitems", params, idempotency_key))

    def invoice_items(self, invoice: str) -> list[InvoiceItem]:
        """List the items of an invoice."""
        listed = self._list("/v1/invoiceitems", {"invoice": invoice, "limit": PAGE})
        return [InvoiceItem.read(data) for data in listed]

    def finalize_invoice(self, invoice: str, idempotency_key: str) -> Invoice:
        """Finalize a draft. Stripe then charges it automatically."""
        path = f"/v1/invoices/{part(invoice)}/finalize"
        return Invoice.read(self._ask("post", path, {"auto_advance": True}, idempotency_key))

    def finalize_document(self, invoice: str, idempotency_key: str) -> Invoice:
        """Finalize a draft that Stripe never charges by itself."""
        path = f"/v1/invoices/{part(invoice)}/finalize"
        return Invoice.read(self._ask("post", path, {"auto_advance": False}, idempotency_key))

    def attach_payment(self, invoice: str, payment_intent: str, idempotency_key: str) -> Invoice:
        """Attach a payment that was made to an open invoice, which it pays. Raises StripeRefused if it cannot."""
        path = f"/v1/invoices/{part(invoice)}/attach_payment"
        return Invoice.read(self._ask("post", path, {"payment_intent": payment_intent}, idempotency_key))

    def void_invoice(self, invoice_id: str, idempotency_key: str) -> Invoice:
        """Void an open invoice. Raises StripeRefused if it is no longer open."""
        return Invoice.read(self._ask("post", f"/v1/invoices/{part(invoice_id)}/void", {}, idempotency_key))
