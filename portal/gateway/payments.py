"""What the portal reads of payments, and of what takes them back, as of API version 2026-10-28.endive."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

from portal.gateway.shapes import Card, id_of, time

Json = dict[str, Any]

# A dispute in one of these states has taken no money, or has given it back; an inquiry takes none
# (https://docs.stripe.com/disputes/how-disputes-work).
NOT_WITHDRAWN = ("won", "prevented", "warning_needs_response", "warning_under_review", "warning_closed")


@dataclass(frozen=True)
class Charge:
    """A charge: the movement of money behind a payment intent. `receipt_url` may be missing."""

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
        """What our payment is keyed by: the payment intent, or the charge itself where there is none."""
        return self.payment_intent or self.id

    @classmethod
    def read(cls, data: Json) -> Self:
        """From /v1/charges."""
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
    """A payment, tried any number of times. `charge` is the last try, `failure` Stripe's code for its failure."""

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
        """Whether the last try came to nothing, and nobody is there to try again."""
        return self.status in ("requires_payment_method", "requires_action", "canceled")

    @property
    def outcome(self) -> str | None:
        """What the last try came to: succeeded, processing or failed; None where there was none, or it goes on."""
        if self.status in ("succeeded", "processing"):
            return self.status
        return "failed" if self.has_failed and self.failure else None

    @classmethod
    def read(cls, data: Json) -> Self:
        """From /v1/payment_intents with latest_charge expanded."""
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
    """A refund or a dispute of a charge; `amount` in the charge's currency, `status` Stripe's own word."""

    id: str
    kind: str  # refund or dispute
    charge: str | None
    amount: int
    status: str
    created: datetime
    metadata: dict[str, str] = field(default_factory=dict)
    of: Charge | None = None  # the charge, where it was expanded

    @property
    def withdrawn(self) -> int:
        """How much of the payment it takes back as things stand, in minor units."""
        takes = self.status == "succeeded" if self.kind == "refund" else self.status not in NOT_WITHDRAWN
        return self.amount if takes else 0

    @classmethod
    def read(cls, data: Json) -> Self:
        """From /v1/refunds or /v1/disputes."""
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
class SavedMethod:
    """A payment method that may be charged while its owner is away."""

    id: str
    card: Card | None
    saved_at: datetime | None  # None where Stripe does not say

    @classmethod
    def read(cls, data: Json) -> Self:
        """From /v1/payment_methods."""
        return cls(data["id"], Card.read(data), time(data.get("created")))
