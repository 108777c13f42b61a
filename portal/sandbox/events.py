"""Events, raised in the transaction of what they report and queued for every endpoint that listens."""

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from portal.sandbox.account import Account

Json = dict[str, Any]
API_VERSION = "2026-10-28.endive"
FLAT = ("secret",)


def public(value: Any) -> Any:
    """An object without what Stripe keeps to itself."""
    if isinstance(value, dict):
        return {name: public(inner) for name, inner in value.items() if name != "_"}
    return [public(item) for item in value] if isinstance(value, list) else value


def raise_event(account: "Account", type_: str, value: Json, previous: Json | None) -> None:
    """Store an event about an object as it is now, and a delivery for each endpoint that wants it."""
    data: Json = {"object": public(value)}
    if previous is not None:
        data["previous_attributes"] = public(_narrowed(previous, value))
    listening = [e for e in account.store.select(account.mode, "webhook_endpoint") if wants(e, type_)]
    event = account.build(
        "event",
        {
            "api_version": API_VERSION,
            "created": int(time.time()),
            "data": data,
            "pending_webhooks": len(listening),
            "request": account.request or {"id": None, "idempotency_key": None},
            "type": type_,
        },
    )
    account.store.save(account.mode, "event", event)
    for endpoint in listening:
        queue(account, event["id"], endpoint["id"])


def _narrowed(previous: Json, value: Json) -> Json:
    """Of a changed hash, Stripe shows the keys that changed; a key that is new was null before."""
    return {
        name: {
            key: old.get(key) for key in old.keys() | value[name].keys() if old.get(key) != value[name].get(key)
        }
        if isinstance(old, dict) and isinstance(value.get(name), dict) and "object" not in old
        else old
        for name, old in previous.items()
    }


def wants(endpoint: Json, type_: str) -> bool:
    """Whether an endpoint listens to events of this type."""
    chosen = endpoint["enabled_events"]
    return endpoint["status"] == "enabled" and ("*" in chosen or type_ in chosen)


def queue(account: "Account", event: str, endpoint: str) -> None:
    """Have an event delivered to an endpoint as soon as possible."""
    account.store.db.execute(
        "INSERT INTO deliveries (event, endpoint, due) VALUES (?, ?, ?)", (event, endpoint, time.time())
    )
