"""Payment methods: cards and other ways to pay."""

from dataclasses import dataclass
from datetime import datetime
from typing import Self

from portal.gateway.calls import PAGE, Calls, part
from portal.gateway.fields import Json, id_of, time


@dataclass(frozen=True)
class Card:
    """A saved card as it may be displayed: never more than the last four digits.

    `fingerprint` is identical for one card under any customer. Some wallets have none.
    """

    brand: str
    last4: str
    exp_month: int
    exp_year: int
    fingerprint: str | None = None

    @classmethod
    def read(cls, method: str | Json | None) -> "Card | None":
        """Read an expanded payment method. Returns None for other types, or if it is not expanded."""
        card = method.get("card") if isinstance(method, dict) else None
        if not card:
            return None
        return cls(
            card["brand"], card["last4"], card["exp_month"], card["exp_year"], card.get("fingerprint") or None
        )


@dataclass(frozen=True)
class SavedMethod:
    """A payment method that may be charged off-session."""

    id: str
    card: Card | None
    saved_at: datetime | None  # None if Stripe does not say

    @classmethod
    def read(cls, data: Json) -> Self:
        """Read an object from /v1/payment_methods."""
        return cls(data["id"], Card.read(data), time(data.get("created")))


class PaymentMethodCalls(Calls):
    """The calls for payment methods."""

    def saved_method(self, customer: str) -> SavedMethod | None:
        """Return the customer's default payment method, else their newest card; None if nothing is saved."""
        expand = {"expand": ["invoice_settings.default_payment_method"]}
        settings = self._ask("get", f"/v1/customers/{part(customer)}", expand).get("invoice_settings") or {}
        if settings.get("default_payment_method"):
            return SavedMethod.read(settings["default_payment_method"])
        page = self._ask("get", "/v1/payment_methods", {"customer": customer, "type": "card", "limit": 1})
        return SavedMethod.read(page["data"][0]) if page["data"] else None

    def set_up_method(self, setup_intent: str) -> str | None:
        """Return the payment method that a setup intent saved; None until it has succeeded."""
        found = self._ask("get", f"/v1/setup_intents/{part(setup_intent)}")
        return id_of(found.get("payment_method")) if found["status"] == "succeeded" else None

    def methods(self, customer: str) -> list[str]:
        """List the ids of a customer's payment methods of every type, newest first."""
        listed = self._list(f"/v1/customers/{part(customer)}/payment_methods", {"limit": PAGE})
        return [method["id"] for method in listed]

    def attach_method(self, method: str, customer: str, idempotency_key: str) -> SavedMethod:
        """Attach a payment method to a customer. Raises StripeRefused if the card is declined."""
        path = f"/v1/payment_methods/{part(method)}/attach"
        return SavedMethod.read(self._ask("post", path, {"customer": customer}, idempotency_key))
