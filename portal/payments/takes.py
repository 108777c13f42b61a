"""What each kind of payment takes back, and where a payment that is not known yet is read from.

Rooms register theirs in create_app: `takes["credits"] = …`, `sources["invoice"] = …`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from portal.models import Payment, Reversal


@dataclass(frozen=True)
class Turn:
    """A refund or dispute as it stands now, and as it stood before; amounts in minor units."""

    row: Reversal
    withdrawn_before: int
    status_before: str | None  # None: it was not known

    @property
    def is_news(self) -> bool:
        """Whether it stands differently. A sync that finds nothing new must not repeat what an admin undid."""
        return self.row.status != self.status_before

    @property
    def difference(self) -> int:
        """How much more it withdraws than before; below zero where money came back."""
        return self.row.withdrawn - self.withdrawn_before


class Take(Protocol):
    """Brings what a payment gave to what its `amount_withdrawn` says; gives facts for the customer's mail.

    Called with every sync for each refund and dispute, inside the transaction that writes them, with the customer
    and the payment locked. Flushes.
    """

    def __call__(self, payment: Payment, turn: Turn) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Source:
    """A pair like every sync: `read(mode, stripe_id)` asks Stripe, `apply` writes what it paid for."""

    read: Callable[[str, str], Any]
    apply: Callable[[Any], Any]


takes: dict[str, Take] = {}  # by PaymentKind
sources: dict[str, Source] = {}  # "order", by payment intent, and "invoice", by the invoice's id
