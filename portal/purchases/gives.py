"""What a kind of purchase gives. Rooms register theirs in create_app: `gives["plan"] = …`."""

from dataclasses import dataclass
from typing import Any, Protocol

from portal import gateway
from portal.models import Purchase


class Reader(Protocol):
    """Fetches what a completed session bought; called with no transaction open."""

    def __call__(self, mode: str, session: gateway.Session) -> Any: ...


class Actor(Protocol):
    """Does at Stripe what the purchase asks for, and gives what is then written; with no transaction open."""

    def __call__(self, bought: Any, /) -> Any: ...


class Writer(Protocol):
    """Writes what was fetched; called inside the transaction that fulfils the purchase. Flushes."""

    def __call__(self, purchase: Purchase, bought: Any) -> None: ...


@dataclass(frozen=True)
class Give:
    """Like every sync: `read` asks Stripe, `act` claims and calls where something is to be done, `write` gives."""

    read: Reader
    write: Writer
    act: Actor | None = None


gives: dict[str, Give] = {}
