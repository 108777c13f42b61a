"""Events, webhook endpoints and the account."""

import re
import secrets
from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api import lists
from portal.sandbox.api.operations import operation
from portal.sandbox.resources.common import changed, given
from portal.sandbox.webhooks.events import wants

Json = dict[str, Any]


@operation("GET", "/v1/events/{id}")
def retrieve(account: Account, params: Json, id: str) -> Json:
    return account.find("event", id)


@operation("GET", "/v1/events")
def index(account: Account, params: Json) -> Json:
    filters = {"$.type": params.get("type")}
    only = "1"
    if params.get("delivery_success") is not None:
        only = f"(json_extract(json, '$.pending_webhooks') = 0) = {int(params['delivery_success'])}"
    if re.fullmatch(r"[a-z_.]*\*[a-z_.]*", params.get("type") or ""):
        only += f" AND json_extract(json, '$.type') GLOB '{filters.pop('$.type')}'"
    return lists.page(account, "event", params, "/v1/events", filters, {"$.type": params.get("types")}, only)


@operation("POST", "/v1/events/{id}/retry", takes={"webhook_endpoint": "s", "account": "s"})
def retry(account: Account, params: Json, id: str) -> Json:
    event = account.find("event", id)
    chosen = params.get("webhook_endpoint")
    for endpoint in account.store.select(account.mode, "webhook_endpoint"):
        if chosen in (None, endpoint["id"]) and wants(endpoint, event["type"]):
            account.store.queue_delivery(id, endpoint["id"])
    return event


@operation("POST", "/v1/webhook_endpoints")
def create_endpoint(account: Account, params: Json) -> Json:
    secret = "whsec_" + secrets.token_hex(16)
    params.pop("connect", None)
    fields = {"metadata": {}, "status": "enabled", "_": {"secret": secret}} | given(params)
    return account.add("webhook_endpoint", fields) | {"secret": secret}


@operation("GET", "/v1/webhook_endpoints/{webhook_endpoint}")
def endpoint(account: Account, params: Json, webhook_endpoint: str) -> Json:
    return account.find("webhook_endpoint", webhook_endpoint)


@operation("POST", "/v1/webhook_endpoints/{webhook_endpoint}")
def update_endpoint(account: Account, params: Json, webhook_endpoint: str) -> Json:
    found = account.find("webhook_endpoint", webhook_endpoint)
    disabled = params.pop("disabled", None)
    changes = changed(found, params)
    if disabled is not None:
        changes["status"] = "disabled" if disabled else "enabled"
    return account.change(found, changes)


@operation("DELETE", "/v1/webhook_endpoints/{webhook_endpoint}")
def delete_endpoint(account: Account, params: Json, webhook_endpoint: str) -> Json:
    account.find("webhook_endpoint", webhook_endpoint)
    account.store.remove(account.mode, webhook_endpoint)
    return {"id": webhook_endpoint, "object": "webhook_endpoint", "deleted": True}


@operation("GET", "/v1/webhook_endpoints")
def endpoints(account: Account, params: Json) -> Json:
    return lists.page(account, "webhook_endpoint", params, "/v1/webhook_endpoints")


@operation("GET", "/v1/account")
def the_account(account: Account, params: Json) -> Json:
    return {
        "id": account.store.account_id,
        "object": "account",
        "business_profile": {"name": "Sandbox"},
        "charges_enabled": True,
        "country": "US",
        "default_currency": "usd",
        "details_submitted": True,
        "email": None,
        "payouts_enabled": True,
        "settings": {"dashboard": {"display_name": "Sandbox", "timezone": "Etc/UTC"}},
        "type": "standard",
    }
