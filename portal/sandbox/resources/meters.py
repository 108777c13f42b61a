"""Billing meters and their events."""

import re
from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api import lists
from portal.sandbox.api.errors import StripeError
from portal.sandbox.api.operations import operation
from portal.sandbox.api.wire import missing_parameter
from portal.sandbox.domain.pricing import meters
from portal.sandbox.domain.subscriptions import thresholds
from portal.sandbox.resources.common import given

Json = dict[str, Any]
KIND = "billing.meter"
WINDOWS = {"hour": 3600, "day": 86400}  # seconds


@operation("POST", "/v1/billing/meters")
def create(account: Account, params: Json) -> Json:
    params = given(params)
    for other in account.store.select(
        account.mode, KIND, "json_extract(json, '$.event_name') = ?", params["event_name"]
    ):
        if other["status"] == "active":
            words = f"There is already an active meter with the event name {params['event_name']}."
            raise StripeError(words, param="event_name")
    defaults = {
        "customer_mapping": {"event_payload_key": "stripe_customer_id", "type": "by_id"},
        "event_time_window": None,
        "status": "active",
        "updated": account.now(),
        "value_settings": {"event_payload_key": "value"},
    }
    return account.add(KIND, defaults | params, f"{KIND}.created")


@operation("GET", "/v1/billing/meters/{id}")
def retrieve(account: Account, params: Json, id: str) -> Json:
    return account.find(KIND, id)


@operation("POST", "/v1/billing/meters/{id}")
def update(account: Account, params: Json, id: str) -> Json:
    changes = given(params) | {"updated": account.now()}
    return account.change(account.find(KIND, id), changes, f"{KIND}.updated")


@operation("POST", "/v1/billing/meters/{id}/deactivate")
def deactivate(account: Account, params: Json, id: str) -> Json:
    when = {"deactivated_at": account.now()}
    meter = account.change(account.find(KIND, id), {"status": "inactive", "status_transitions": when})
    account.emit(f"{KIND}.deactivated", meter)
    return meter


@operation("POST", "/v1/billing/meters/{id}/reactivate")
def reactivate(account: Account, params: Json, id: str) -> Json:
    when = {"deactivated_at": None}
    meter = account.change(account.find(KIND, id), {"status": "active", "status_transitions": when})
    account.emit(f"{KIND}.reactivated", meter)
    return meter


@operation("GET", "/v1/billing/meters")
def index(account: Account, params: Json) -> Json:
    return lists.page(account, KIND, params, "/v1/billing/meters", {"$.status": params.get("status")})


@operation("POST", "/v1/billing/meter_events")
def record(account: Account, params: Json) -> Json:
    params = given(params)
    active = "json_extract(json, '$.event_name') = ? AND json_extract(json, '$.status') = 'active'"
    found = account.store.select(account.mode, KIND, active, params["event_name"], limit=1)
    if not found:
        words = f"No active meter found for event name {params['event_name']}."
        raise StripeError(words, code="resource_missing", param="event_name")
    check(account, found[0], params["payload"])
    named, payload = params.get("identifier"), params["payload"]
    made = meters.record(account, params["event_name"], payload, named, params.get("timestamp"))
    thresholds.check(account, payload[found[0]["customer_mapping"]["event_payload_key"]], found[0]["id"])
    return made


def check(account: Account, meter: Json, payload: Json) -> None:
    """Check that the payload has a customer and a number. Raises StripeError."""
    who, what = meter["customer_mapping"]["event_payload_key"], meter["value_settings"]["event_payload_key"]
    if who not in payload:
        raise StripeError(f"Payload is missing the key {who}.", param=f"payload[{who}]")
    account.find("customer", payload[who], f"payload[{who}]")
    counted = meter["default_aggregation"]["formula"] == "count"
    if not counted and not re.fullmatch(r"-?\d+(\.\d+)?", payload.get(what) or ""):
        raise StripeError(f"Payload value {what} must be a number.", param=f"payload[{what}]")


@operation("POST", "/v1/billing/meter_event_adjustments")
def adjust(account: Account, params: Json) -> Json:
    identifier = (params.get("cancel") or {}).get("identifier")
    if not identifier:
        raise missing_parameter("cancel[identifier]")
    return meters.cancel(account, params["event_name"], identifier)


@operation("GET", "/v1/billing/meters/{id}/event_summaries")
def summaries(account: Account, params: Json, id: str) -> Json:
    meter = account.find(KIND, id)
    account.find("customer", params["customer"], "customer")
    window = params.get("value_grouping_window") or "minute"
    step = WINDOWS.get(window)
    start, end = params["start_time"], params["end_time"]
    for name in ("start_time", "end_time"):
        if params[name] % (step or 60):
            raise StripeError(f"{name} must be aligned with the boundaries of a {window}.", param=name)
    if end <= start:
        raise StripeError("end_time must be later than start_time.", param="end_time")
    bounds = [*range(start, end, step), end] if step else [start, end]
    found = meters.summaries(account, meter, params["customer"], bounds)
    return lists.slice_of(found, params, f"/v1/billing/meters/{id}/event_summaries")
