"""Previews: what Stripe will charge, as Stripe itself calculates it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Self

from portal.gateway.calls import Calls, Params, together
from portal.gateway.fields import Json, time

NONE_UPCOMING = "invoice_upcoming_none"  # Stripe's code for a subscription that is not billed again


@dataclass(frozen=True)
class Line:
    """A line of an invoice or preview. A negative `amount` is a credit."""

    description: str
    amount: int
    period_end: datetime

    @classmethod
    def read(cls, data: Json) -> Self:
        """Read a line from invoice.lines.data."""
        ends = time(data["period"]["end"])
        assert ends is not None
        return cls(data.get("description") or "", data["amount"], ends)


@dataclass(frozen=True)
class Preview:
    """A previewed invoice, which Stripe will create at `at`.

    `amount_due` is what is left of `total` after the customer's balance. If `total` is negative, the difference
    goes to that balance.
    """

    total: int
    amount_due: int
    currency: str
    lines: tuple[Line, ...]
    at: datetime
    tax: int = 0
    discount: int = 0
    starting_balance: int = 0  # of the customer; negative: a credit
    lacks_address: bool = False  # Stripe cannot calculate taxes without the customer's address

    @property
    def ending_balance(self) -> int:
        """Return the customer's balance once it is paid. Negative: a credit for the next invoices."""
        return self.starting_balance + self.total - self.amount_due

    @property
    def credited(self) -> int:
        """Return the credit for time that was paid for and will not be used."""
        return -sum(line.amount for line in self.lines if line.amount < 0)

    @property
    def period_end(self) -> datetime:
        """Return the end of the period that it pays for. Credits have a period of their own."""
        paid = [line for line in self.lines if line.amount >= 0] or self.lines
        return max(line.period_end for line in paid)

    @classmethod
    def read(cls, data: Json) -> Self:
        """Read the response of /v1/invoices/create_preview."""
        automatic = data.get("automatic_tax") or {}
        return cls(
            total=data["total"],
            amount_due=data["amount_due"],
            currency=data["currency"],
            lines=tuple(Line.read(line) for line in data["lines"]["data"]),
            at=datetime.fromtimestamp(data["period_end"], UTC),
            tax=sum(one["amount"] for one in data.get("total_taxes") or []),
            discount=sum(one["amount"] for one in data.get("total_discount_amounts") or []),
            starting_balance=data.get("starting_balance") or 0,
            lacks_address=bool(automatic.get("enabled")) and automatic.get("status") == "requires_location_inputs",
        )


class PreviewCalls(Calls):
    """The calls for previews."""

    def preview(self, params: Params) -> Preview:
        """Call POST /v1/invoices/create_preview, which changes nothing.

        StripeRefused with the code NONE_UPCOMING: there is no next invoice.
        """
        return Preview.read(self._ask("post", "/v1/invoices/create_preview", params))

    def previews(self, wanted: Sequence[Params]) -> list[Preview]:
        """Fetch several previews at once, for a page that compares them."""
        return together([partial(self.preview, params) for params in wanted])
