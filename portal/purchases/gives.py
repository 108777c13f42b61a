"""What a kind of purchase gives. Rooms register theirs in create_app: `gives["plan"] = …`."""

from dataclasses import dataclass
from typing import Any, Protocol

from portal import gateway
from portal.models import Purchase


class Reader(Protocol):
    """Fetches what a completed session bought; called with no transaction open."""

    def __call__(self, mode: str, session: gateway.Session) -> Any: ...


class Writer(Protocol):
    """Writes what was fetched; called inside the transaction that fulfils the purchase. Flushes."""

    def __call__(self, purchase: Purchase, bought: Any) -> None: ...


@dataclass(frozen=True)
class Give:
    """A pair like every sync: `read` asks Stripe, `write` gives."""

    read: Reader
    write: Writer


gives: dict[str, Give] = {}
