"""What the resources share: parameters into fields."""

from typing import Any

Json = dict[str, Any]


def given(params: Json) -> Json:
    """The parameters that were given a value."""
    return {name: value for name, value in params.items() if value is not None}


NOWHERE: Json = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))


def with_addresses(params: Json) -> Json:
    """The parameters with every field of the addresses in them, as Stripe answers them."""
    full = dict(params)
    if params.get("address"):
        full["address"] = NOWHERE | params["address"]
    if params.get("shipping"):
        place = NOWHERE | (params["shipping"].get("address") or {})
        full["shipping"] = {"name": None, "phone": None} | params["shipping"] | {"address": place}
    return full


def changed(value: Json, params: Json) -> Json:
    """The changes that an update's parameters make; metadata is merged, an empty value removes a key."""
    changes = dict(params)
    if "metadata" in changes:
        changes["metadata"] = merged(value["metadata"], changes["metadata"])
    return changes


def merged(old: Json | None, new: Json | None) -> Json:
    """Metadata after an update: null clears all of it, a key with null is removed."""
    if new is None:
        return {}
    return {name: text for name, text in ((old or {}) | new).items() if text is not None}
