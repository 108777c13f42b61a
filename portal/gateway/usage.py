"""The calls behind pay as you go: meters, the saved payment method, the metered subscription, monthly invoices."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from portal.gateway.calls import PAGE, Calls, Params, part
from portal.gateway.customers import Customer
from portal.gateway.shapes import Invoice, id_of
from portal.gateway.subscription import Subscription


@dataclass(frozen=True)
class InvoiceItem:
    """A line that was put on an invoice."""

    id: str
    amount: int
    metadata: dict[str, str]

    @classmethod
    def read(cls, data: dict[str, Any]) -> Self:
        """From /v1/invoiceitems."""
        return cls(data["id"], data["amount"], data.get("metadata") or {})


class Usage(Calls):
    """A lane's calls about usage."""

    def meters(self) -> dict[str, str]:
        """The active meters: event name → id."""
        listed = self._list("/v1/billing/meters", {"status": "active", "limit": PAGE})
        return {meter["event_name"]: meter["id"] for meter in listed}

    def create_meter(self, params: Params, idempotency_key: str) -> str:
        """POST /v1/billing/meters; gives the id."""
        return str(self._ask("post", "/v1/billing/meters", params, idempotency_key)["id"])

    def set_up_method(self, setup_intent: str) -> str | None:
        """The payment method that a setup intent saved; None before it succeeded."""
        found = self._ask("get", f"/v1/setup_intents/{part(setup_intent)}")
        return id_of(found.get("payment_method")) if found["status"] == "succeeded" else None

    def methods(self, customer: str) -> list[str]:
        """The ids of what is attached to a customer, of every kind, newest first."""
        listed = self._list(f"/v1/customers/{part(customer)}/payment_methods", {"limit": PAGE})
        return [method["id"] for method in listed]

    def set_default_method(self, customer: str, method: str, idempotency_key: str = "") -> Customer:
        """Charge a customer's invoices to this from now on; again changes nothing."""
        params = {"invoice_settings": {"default_payment_method": method}}
        return Customer.read(self._ask("post", f"/v1/customers/{part(customer)}", params, idempotency_key))

    def create_subscription(self, params: Params, idempotency_key: str) -> Subscription:
        """POST /v1/subscriptions."""
        return Subscription.read(self._ask("post", "/v1/subscriptions", params, idempotency_key))

    def subscriptions(self, customer: str) -> list[Subscription]:
        """A customer's subscriptions that have not ended, newest first."""
        listed = self._list("/v1/subscriptions", {"customer": customer, "limit": PAGE})
        return [Subscription.read(data) for data in listed]

    def create_invoice(self, params: Params, idempotency_key: str) -> Invoice:
        """POST /v1/invoices: a draft."""
        return Invoice.read(self._ask("post", "/v1/invoices", params, idempotency_key))

    def invoices_since(self, customer: str, since: datetime) -> Iterator[Invoice]:
        """A customer's invoices that were made since then, newest first, drafts too."""
        params = {"customer": customer, "created": {"gte": int(since.timestamp())}, "limit": PAGE}
        return (Invoice.read(data) for data in self._list("/v1/invoices", params))

    def create_invoice_item(self, params: Params, idempotency_key: str) -> InvoiceItem:
        """POST /v1/invoiceitems."""
        return InvoiceItem.read(self._ask("post", "/v1/invoiceitems", params, idempotency_key))

    def invoice_items(self, invoice: str) -> list[InvoiceItem]:
        """The items that stand on an invoice."""
        listed = self._list("/v1/invoiceitems", {"invoice": invoice, "limit": PAGE})
        return [InvoiceItem.read(data) for data in listed]

    def finalize_invoice(self, invoice: str, idempotency_key: str) -> Invoice:
        """Close a draft; Stripe charges it by itself from then on."""
        path = f"/v1/invoices/{part(invoice)}/finalize"
        return Invoice.read(self._ask("post", path, {"auto_advance": True}, idempotency_key))
