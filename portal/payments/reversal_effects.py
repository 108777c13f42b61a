"""What each kind of payment reverses, and where an unknown payment is fetched from.

Rooms register theirs in create_app: `takes["credits"] = …`, `sources["invoice"] = …`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from portal.enums import Mode
from portal.models import Payment, Reversal, ReversalState


@dataclass(frozen=True)
class Turn:
    """A refund or dispute as it is now and as it was before, with amounts in minor units."""

    row: Reversal
    withdrawn_before: int
    status_before: ReversalState | None  # None: it was not known

    @property
    def is_news(self) -> bool:
        """Return whether it changed. A sync that finds nothing new must not repeat what an admin undid."""
        return self.row.status != self.status_before

    @property
    def difference(self) -> int:
        """Return how much more it withdraws than before; negative if money was returned."""
        return self.row.withdrawn - self.withdrawn_before


class Take(Protocol):
    """Adjusts what a payment granted to its `amount_withdrawn`, and returns facts for the customer's mail.

    Called with every sync for each refund and dispute, inside the transaction that writes them, with the customer
    and the payment locked. Flushes.
    """

    def __call__(self, payment: Payment, turn: Turn) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Source:
    """A read and apply pair like every sync: `read(mode, stripe_id)` fetches, `apply` writes what it paid for."""

    read: Callable[[Mode, str], Any]
    apply: Callable[[Any], Any]


takes: dict[str, Take] = {}  # by PaymentKind
sources: dict[str, Source] = {}  # "order", by payment intent, and "invoice", by the invoice's id
