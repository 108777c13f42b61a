"""The content of events, and which endpoints listen to them."""

from typing import Any

Json = dict[str, Any]
NESTED = (dict, list)  # most fields are neither: a call for each is half the time of an event
API_VERSION = "2026-10-28.endive"


def public(value: Any) -> Any:
    """Return an object without internal fields."""
    if isinstance(value, dict):
        return {
            name: public(inner) if inner.__class__ in NESTED else inner
            for name, inner in value.items()
            if name != "_"
        }
    return [public(item) for item in value] if isinstance(value, list) else value


def data(value: Json, previous: Json | None) -> Json:
    """Return an event's data: the object as it is now, and the previous values of its changed fields. Internal
    fields are stored with them, and removed when the event is sent, as from any object.
    """
    if previous is None:
        return {"object": value}
    return {"object": value, "previous_attributes": narrowed(previous, value)}


def narrowed(previous: Json, value: Json) -> Json:
    """Return the changed keys of a hash, as Stripe shows them; a new key was null before."""
    return {
        name: {
            key: old.get(key) for key in old.keys() | value[name].keys() if old.get(key) != value[name].get(key)
        }
        if isinstance(old, dict) and isinstance(value.get(name), dict) and "object" not in old
        else old
        for name, old in previous.items()
    }


def wants(endpoint: Json, type_: str) -> bool:
    """Return whether an endpoint listens to events of this type."""
    chosen = endpoint["enabled_events"]
    return endpoint["status"] == "enabled" and ("*" in chosen or type_ in chosen)
