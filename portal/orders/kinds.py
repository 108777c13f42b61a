"""What each kind of order grants. Rooms register theirs in create_app: `gives["plan"] = …`."""

from dataclasses import dataclass
from typing import Any, Protocol

from portal import gateway
from portal.catalogue.items import Item
from portal.enums import Mode
from portal.models import Order


class Reader(Protocol):
    """Fetches what a completed session bought; called with no transaction open."""

    def __call__(self, mode: Mode, session: gateway.Session) -> Any: ...


class Actor(Protocol):
    """Makes the calls to Stripe that the order needs, and returns what to write; called with no transaction
    open.
    """

    def __call__(self, bought: Any, /) -> Any: ...


class Writer(Protocol):
    """Writes what was fetched; called inside the transaction that fulfills the order. Flushes."""

    def __call__(self, order: Order, bought: Any) -> None: ...


class Seller(Protocol):
    """Returns what the one line of a session sold, with the catalogue's amount; None for what is not ours."""

    def __call__(self, mode: Mode, line: gateway.SessionLine, /) -> Item | None: ...


@dataclass(frozen=True)
class Give:
    """The steps of fulfillment: `read` fetches, `act` claims and calls Stripe if needed, `write` grants.

    `sold` says what an order that is rebuilt from its session was for; a kind that nothing is paid for has none.
    """

    read: Reader
    write: Writer
    act: Actor | None = None
    sold: Seller | None = None


gives: dict[str, Give] = {}
