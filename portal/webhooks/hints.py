"""What is taken from a delivery: never its facts, only what to ask Stripe about (money rule 1)."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from portal.errors import InvalidInput

LONGEST_ID = 18  # digits, within 64 bits


@dataclass(frozen=True)
class Hint:
    """An event's id and type, and whom and what it is about."""

    event_id: str
    type: str
    object_id: str
    customer: str | None
    subscription: str | None  # that a discount names
    invoice: str | None  # that a credit note names
    livemode: bool
    portal_mode: str | None  # our stamp on the object, where it carries metadata
    created_at: datetime
    refund_order: int | None = None  # the row of ours that a refund names


def parse(body: bytes) -> Hint:
    """The hint in a delivery's body. Raises InvalidInput for what is no event."""
    try:
        event = orjson.loads(body)
        thing = event["data"]["object"]
        metadata = thing.get("metadata")
        return Hint(
            event_id=_word(event["id"]),
            type=_word(event["type"]),
            object_id=_word(thing.get("id") or event["id"]),
            # A detached payment method names its customer only as what it had before.
            customer=_customer(thing) or _customer(event["data"].get("previous_attributes") or {}),
            subscription=_named(thing, "subscription"),
            invoice=_named(thing, "invoice"),
            livemode=event["livemode"] is True,
            portal_mode=metadata.get("portal_mode") if isinstance(metadata, dict) else None,
            created_at=datetime.fromtimestamp(event["created"], UTC),
            refund_order=_number(metadata.get("refund_order")) if isinstance(metadata, dict) else None,
        )
    except (
        orjson.JSONDecodeError,
        KeyError,
        TypeError,
        AttributeError,
        ValueError,
        OverflowError,
        OSError,
    ) as error:
        raise InvalidInput("The body is not a Stripe event.", errors={"body": type(error).__name__}) from error


def _word(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 255:
        raise ValueError("not a short text")
    return value


def _number(value: Any) -> int | None:
    is_one = isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= LONGEST_ID
    return int(value) if is_one else None


def _customer(thing: dict[str, Any]) -> str | None:
    if thing.get("object") == "customer":
        return _word(thing["id"])
    return _named(thing, "customer")


def _named(thing: dict[str, Any], field: str) -> str | None:
    named = thing.get(field)
    return named if isinstance(named, str) and len(named) <= 255 else None


def thing(payload: str) -> dict[str, Any]:
    """The object inside a stored event, as it was when Stripe raised it: for looking, never to act upon."""
    found: dict[str, Any] = whole(payload)["data"]["object"]
    return found


def whole(payload: str) -> dict[str, Any]:
    """A stored event as it was delivered."""
    event: dict[str, Any] = orjson.loads(payload)
    return event
