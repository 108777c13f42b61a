"""Credit notes: what was credited of an invoice after it was finalized."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Self

from portal.gateway.calls import PAGE, Calls, Params
from portal.gateway.fields import Json, id_of


@dataclass(frozen=True)
class CreditNote:
    """What was credited of an invoice, in minor units.

    Of `amount`, `off_due` lowered what was still to be paid. The rest was returned after the payment: as a refund,
    `to_balance` of the customer, or `elsewhere` (outside of Stripe).
    """

    id: str
    amount: int
    customer: str | None
    invoice: str | None
    number: str | None
    status: str  # issued, void
    currency: str
    off_due: int
    to_balance: int
    elsewhere: int
    pdf_url: str | None
    created: datetime
    metadata: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, data: Json) -> Self:
        """Read an object from /v1/credit_notes, with customer_balance_transaction expanded for `to_balance`."""
        moved = data.get("customer_balance_transaction")
        return cls(
            id=data["id"],
            amount=data["amount"],
            customer=id_of(data.get("customer")),
            invoice=id_of(data.get("invoice")),
            number=data.get("number"),
            status=data.get("status") or "issued",
            currency=data["currency"],
            off_due=data.get("pre_payment_amount") or 0,
            to_balance=-moved["amount"] if isinstance(moved, dict) else 0,
            elsewhere=data.get("out_of_band_amount") or 0,
            pdf_url=data.get("pdf"),
            created=datetime.fromtimestamp(data["created"], UTC),
            metadata=data.get("metadata") or {},
        )


class CreditNoteCalls(Calls):
    """The calls for credit notes."""

    def create_credit_note(self, params: Params, idempotency_key: str) -> CreditNote:
        """Call POST /v1/credit_notes. Raises StripeRefused for more than is left of the invoice."""
        return CreditNote.read(self._ask("post", "/v1/credit_notes", params, idempotency_key))

    def credit_notes(self, invoice: str) -> list[CreditNote]:
        """List the credit notes of an invoice, newest first."""
        params = {"invoice": invoice, "limit": PAGE, "expand": ["data.customer_balance_transaction"]}
        return [CreditNote.read(data) for data in self._list("/v1/credit_notes", params)]
