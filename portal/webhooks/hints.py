"""What is read from a delivery: the event's type and the ids to fetch from Stripe, never its facts."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
import structlog

from portal.errors import Conflict, InvalidInput

log = structlog.get_logger()

THIN = "v2.core.event"  # `object` of an event whose payload style is thin
LONGEST_ID = 18  # digits, within 64 bits


class ThinEvent(InvalidInput):
    """An event that names an object without its ids; the endpoint has to send snapshots."""

    code = "thin_event"
    title = "This is a thin event"

    def __init__(self, kind: str) -> None:
        log.error(
            "thin_event_refused", type=kind, fix="flask webhooks push creates an endpoint that sends snapshots"
        )
        super().__init__(
            "This endpoint reads snapshot events, and this is a thin event. In Stripe's Workbench, create"
            " an endpoint whose payload style is Snapshot and remove this one, or run `flask webhooks push`."
            " With the Stripe CLI, use `stripe listen --all-snapshot`.",
            errors={"object": "thin events are not read"},
        )


REMOVED = "Its payload was removed after EVENT_RETENTION_DAYS. Press Resync on the customer's page instead."


class PayloadRemoved(Conflict):
    """The event is so old that its payload was removed, so it cannot be handled again."""


@dataclass(frozen=True)
class Hint:
    """An event's id and type, and the ids of the objects it is about."""

    event_id: str
    type: str
    object_id: str
    customer: str | None
    subscription: str | None  # that a discount belongs to
    invoice: str | None  # that a credit note belongs to
    livemode: bool
    portal_mode: str | None  # our stamp on the object, if it has metadata
    created_at: datetime
    refund_order: int | None = None  # our row that a refund names


def parse(body: bytes) -> Hint:
    """Parse a delivery's body. Raises InvalidInput if it is not an event, and ThinEvent."""
    try:
        event = orjson.loads(body)
        if str(event.get("object")).startswith(THIN):
            raise ThinEvent(_word(event["type"]))
        thing = event["data"]["object"]
        metadata = thing.get("metadata")
        return Hint(
            event_id=_word(event["id"]),
            type=_word(event["type"]),
            object_id=_word(thing.get("id") or event["id"]),
            # A detached payment method names its customer only among its previous attributes.
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


def stored(payload: str) -> Hint:
    """Parse the payload of a stored event. Raises PayloadRemoved."""
    if not payload:
        raise PayloadRemoved(REMOVED)
    return parse(payload.encode())


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
    """Return the object of a stored event, as it was when Stripe created the event: for display, never for
    decisions.
    """
    found: dict[str, Any] = whole(payload)["data"]["object"]
    return found


def whole(payload: str) -> dict[str, Any]:
    """Return a stored event as it was delivered."""
    event: dict[str, Any] = orjson.loads(payload)
    return event
