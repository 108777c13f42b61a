"""Meters: usage events, and their totals in a period."""

import itertools
from decimal import Decimal
from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api.errors import StripeError

Json = dict[str, Any]
OLDEST = 35 * 86400  # seconds that a meter event may lie in the past
CANCEL_WITHIN = 24 * 3600  # seconds
AHEAD = 5 * 60  # seconds that it may lie in the future


def record(account: Account, event_name: str, payload: Json, identifier: str | None, moment: int | None) -> Json:
    """Record one meter event, which then never changes. Raises StripeError."""
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


def cancel(account: Account, event_name: str, identifier: str) -> Json:
    """Cancel an event of the last day. Raises StripeError."""
    found = account.get(f"mevt_{identifier}")
    if found is None or found["event_name"] != event_name or found["created"] < account.now() - CANCEL_WITHIN:
        words = f"No meter event of the last 24 hours has the identifier {identifier}."
        raise StripeError(words, code="resource_missing", param="cancel[identifier]")
    account.change(found, {"_": {"cancelled": True}})
    return {
        "object": "billing.meter_event_adjustment",
        "cancel": {"identifier": identifier},
        "event_name": event_name,
        "livemode": account.mode == "live",
        "status": "complete",
        "type": "cancel",
    }


def summaries(account: Account, meter: Json, customer: str, bounds: list[int]) -> list[Json]:
    """Return a customer's usage between consecutive times, newest first, without summaries for no usage."""
    made = []
    for start, end in itertools.pairwise(bounds):
        events = of_customer(account, meter, customer, start, end)
        fields = {"aggregated_value": float(aggregate(meter, events)), "meter": meter["id"]}
        fields |= {"id": f"mtrusg_{meter['id'][4:]}_{start}", "start_time": start, "end_time": end}
        if events:
            made.append(account.build("billing.meter_event_summary", fields))
    return made[::-1]


def used(account: Account, meter: Json, customer: str, start: int, end: int) -> Decimal:
    """Return a customer's usage from start to before end, as the meter aggregates it."""
    return aggregate(meter, of_customer(account, meter, customer, start, end))


def of_customer(account: Account, meter: Json, customer: str, start: int, end: int) -> list[Json]:
    """Return a customer's events from start to before end, oldest first."""
    who = meter["customer_mapping"]["event_payload_key"]
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
    return [e for e in events if e["payload"].get(who) == customer and not e["_"].get("cancelled")]


def aggregate(meter: Json, events: list[Json]) -> Decimal:
    """Return their sum, their count, or the last of them, as the meter is configured."""
    what = meter["value_settings"]["event_payload_key"]
    values = [Decimal(event["payload"].get(what, "0")) for event in events]
    formula = meter["default_aggregation"]["formula"]
    if formula == "count":
        return Decimal(len(values))
    return sum(values, Decimal(0)) if formula == "sum" else values[-1] if values else Decimal(0)
