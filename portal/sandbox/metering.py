"""Meters: what was used, and what it comes to in a period."""

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from portal.sandbox.errors import StripeError

if TYPE_CHECKING:
    from portal.sandbox.account import Account

Json = dict[str, Any]
OLDEST = 35 * 86400  # seconds that a meter event may lie in the past
AHEAD = 5 * 60  # seconds that it may lie in the future


def record(account: "Account", event_name: str, payload: Json, identifier: str | None, moment: int | None) -> Json:
    """Take one meter event, which is then never changed. Raises StripeError."""
    now = account.now()
    moment = now if moment is None else moment
    if not now - OLDEST <= moment <= now + AHEAD:
        words = "Event timestamp must be within the past 35 calendar days or up to 5 minutes in the future."
        raise StripeError(words, param="timestamp")
    identifier = identifier or account.new_id("event").removeprefix("evt_")
    if account.get(f"mevt_{identifier}"):
        words = f"An event already exists with identifier {identifier}."
        raise StripeError(words, code="duplicate_meter_event")
    fields = {"event_name": event_name, "identifier": identifier, "payload": payload, "timestamp": moment}
    made = account.add("billing.meter_event", fields | {"id": f"mevt_{identifier}", "created": now})
    return {name: value for name, value in made.items() if name != "id"}


def used(account: "Account", meter: Json, customer: str, start: int, end: int) -> Decimal:
    """What a customer used from start to before end, as the meter aggregates it."""
    who = meter["customer_mapping"]["event_payload_key"]
    what = meter["value_settings"]["event_payload_key"]
    events = account.store.select(
        account.mode,
        "billing.meter_event",
        "json_extract(json, '$.event_name') = ? AND json_extract(json, '$.timestamp') >= ? "
        "AND json_extract(json, '$.timestamp') < ?",
        meter["event_name"],
        start,
        end,
        oldest_first=True,
    )
    values = [Decimal(e["payload"].get(what, "0")) for e in events if e["payload"].get(who) == customer]
    formula = meter["default_aggregation"]["formula"]
    if formula == "count":
        return Decimal(len(values))
    return sum(values, Decimal(0)) if formula == "sum" else values[-1] if values else Decimal(0)
