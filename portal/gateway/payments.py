"""Payment intents, charges, refunds and disputes."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Self

from portal.gateway.calls import PAGE, Calls, Params, part
from portal.gateway.fields import Json, id_of


@dataclass(frozen=True)
class Charge:
    """A charge, which moves the money of a payment intent. `receipt_url` may be missing."""

    id: str
    payment_intent: str | None
    amount: int
    amount_refunded: int
    currency: str
    receipt_url: str | None
    created: datetime
    customer: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def paid_by(self) -> str:
        """Return the id that our payment is stored under: the payment intent, or the charge if there is none."""
        return self.payment_intent or self.id

    @classmethod
    def read(cls, data: Json) -> Self:
        """Read an object from /v1/charges."""
        return cls(
            id=data["id"],
            payment_intent=id_of(data.get("payment_intent")),
            amount=data["amount"],
            amount_refunded=data["amount_refunded"],
            currency=data["currency"],
            receipt_url=data.get("receipt_url"),
            created=datetime.fromtimestamp(data["created"], UTC),
            customer=id_of(data.get("customer")),
            metadata=data.get("metadata") or {},
        )


@dataclass(frozen=True)
class PaymentIntent:
    """A payment, attempted any number of times. `charge` is the last attempt, `failure` Stripe's code for its
    failure.
    """

    id: str
    status: str  # requires_payment_method, requires_action, processing, succeeded, canceled, …
    amount: int
    currency: str
    customer: str | None
    failure: str | None
    charge: Charge | None
    created: datetime
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def has_failed(self) -> bool:
        """Return whether the last attempt failed and nobody is there to try again."""
        return self.status in ("requires_payment_method", "requires_action", "canceled")

    @property
    def outcome(self) -> str | None:
        """Return the result of the last attempt: succeeded, processing or failed. None if there was none or it
        continues.
        """
        if self.status in ("succeeded", "processing"):
            return self.status
        return "failed" if self.has_failed and self.failure else None

    @classmethod
    def read(cls, data: Json) -> Self:
        """Read an object from /v1/payment_intents with latest_charge expanded."""
        charge = data.get("latest_charge")
        return cls(
            id=data["id"],
            status=data["status"],
            amount=data["amount"],
            currency=data["currency"],
            customer=id_of(data.get("customer")),
            failure=(data.get("last_payment_error") or {}).get("code"),
            charge=Charge.read(charge) if isinstance(charge, dict) else None,
            created=datetime.fromtimestamp(data["created"], UTC),
            metadata=data.get("metadata") or {},
        )


@dataclass(frozen=True)
class Reversal:
    """A refund or a dispute of a charge. `amount` is in the charge's currency, `status` is Stripe's own."""

    id: str
    kind: str  # refund or dispute
    charge: str | None
    amount: int
    status: str
    created: datetime
    metadata: dict[str, str] = field(default_factory=dict)
    of: Charge | None = None  # the charge, if it was expanded

    @classmethod
    def read(cls, data: Json) -> Self:
        """Read an object from /v1/refunds or /v1/disputes."""
        return cls(
            id=data["id"],
            kind=data["object"],
            charge=id_of(data.get("charge")),
            amount=data["amount"],
            status=data.get("status") or "pending",
            created=datetime.fromtimestamp(data["created"], UTC),
            metadata=data.get("metadata") or {},
            of=Charge.read(charge) if isinstance(charge := data.get("charge"), dict) else None,
        )


@dataclass(frozen=True)
class FraudWarning:
    """An issuer's warning that a charge is fraud; `is_actionable` until it is refunded in full or disputed."""

    id: str
    charge: str
    fraud_type: str
    is_actionable: bool
    created: datetime

    @classmethod
    def read(cls, data: Json) -> Self:
        """Read an object from /v1/radar/early_fraud_warnings."""
        return cls(
            id=data["id"],
            charge=id_of(data["charge"]) or "",
            fraud_type=data["fraud_type"],
            is_actionable=data["actionable"],
            created=datetime.fromtimestamp(data["created"], UTC),
        )


class PaymentCalls(Calls):
    """The calls for payments."""

    def create_payment_intent(self, params: Params, idempotency_key: str) -> PaymentIntent:
        """Call POST /v1/payment_intents. Raises StripeRefused if the card is declined."""
        expand = {"expand": ["latest_charge"]}
        return PaymentIntent.read(self._ask("post", "/v1/payment_intents", params | expand, idempotency_key))

    def confirm_intent(self, intent_id: str, params: Params, idempotency_key: str) -> PaymentIntent:
        """Confirm a payment intent. Raises StripeRefused if the card is declined."""
        path = f"/v1/payment_intents/{part(intent_id)}/confirm"
        return PaymentIntent.read(self._ask("post", path, params, idempotency_key))

    def payment_intent(self, intent_id: str) -> PaymentIntent:
        """Fetch the payment intent, with its latest charge."""
        expand = {"expand": ["latest_charge"]}
        return PaymentIntent.read(self._ask("get", f"/v1/payment_intents/{part(intent_id)}", expand))

    def payment_intents(self, customer: str) -> list[PaymentIntent]:
        """List the customer's newest payment intents, without their charges."""
        page = self._ask("get", "/v1/payment_intents", {"customer": customer, "limit": PAGE})
        return [PaymentIntent.read(data) for data in page["data"]]

    def first_payment(self, subscription_id: str) -> PaymentIntent | None:
        """Return the payment of a subscription's first invoice; None if nothing is due, as in a trial."""
        expand = {"expand": ["latest_invoice.payments.data.payment.payment_intent"]}
        data = self._ask("get", f"/v1/subscriptions/{part(subscription_id)}", expand)
        payments = ((data.get("latest_invoice") or {}).get("payments") or {}).get("data") or []
        intents = (one["payment"].get("payment_intent") for one in payments)
        return next((PaymentIntent.read(intent) for intent in intents if isinstance(intent, dict)), None)

    def create_refund(self, params: Params, idempotency_key: str) -> Reversal:
        """Call POST /v1/refunds. Raises StripeRefused if less than the amount can still be refunded."""
        return Reversal.read(self._ask("post", "/v1/refunds", params, idempotency_key))

    def refunds(self, payment: str) -> list[Reversal]:
        """List all refunds of a payment intent, or of a charge that has none, newest first."""
        kind = "payment_intent" if payment.startswith("pi_") else "charge"
        params = {kind: payment, "limit": PAGE}
        return [Reversal.read(data) for data in self._list("/v1/refunds", params)]

    def charge(self, charge_id: str) -> Charge:
        """Fetch the charge as it is now."""
        return Charge.read(self._ask("get", f"/v1/charges/{part(charge_id)}"))

    def reversal(self, stripe_id: str) -> Reversal:
        """Fetch a refund (`re_…`, `pyr_…`) or a dispute (`dp_…`, `du_…`)."""
        path = "disputes" if stripe_id.startswith(("dp_", "du_")) else "refunds"
        return Reversal.read(self._ask("get", f"/v1/{path}/{part(stripe_id)}"))

    def fraud_warning(self, stripe_id: str) -> FraudWarning:
        """Fetch the early fraud warning as it is now."""
        return FraudWarning.read(self._ask("get", f"/v1/radar/early_fraud_warnings/{part(stripe_id)}"))

    def reversals(self, charge_id: str) -> list[Reversal]:
        """List all refunds and disputes of a charge, oldest first."""
        params = {"charge": charge_id, "limit": PAGE}
        found = [
            Reversal.read(data) for path in ("refunds", "disputes") for data in self._list(f"/v1/{path}", params)
        ]
        return sorted(found, key=lambda reversal: (reversal.created, reversal.id))

    def reversals_since(self, since: datetime) -> Iterator[Reversal]:
        """Yield all refunds, then all disputes, created in the account since then, each with its charge."""
        params = {"created": {"gte": int(since.timestamp())}, "limit": PAGE, "expand": ["data.charge"]}
        return (
            Reversal.read(data) for path in ("refunds", "disputes") for data in self._list(f"/v1/{path}", params)
        )

    def dispute_in_sandbox(self, intent_id: str) -> Reversal:
        """Open a dispute for a payment. Only the sandbox has this call; Stripe has none."""
        return Reversal.read(self._ask("post", f"/_config/disputes/{part(intent_id)}"))
