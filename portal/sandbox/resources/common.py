"""Shared code of the resources: parameters to fields."""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api.errors import StripeError
from portal.sandbox.api.wire import join

Json = dict[str, Any]


def given(params: Json) -> Json:
    """Return the parameters that have a value."""
    return {name: value for name, value in params.items() if value is not None}


NOWHERE: Json = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))


def with_addresses(params: Json) -> Json:
    """Return the parameters with every field of their addresses, as in Stripe's responses."""
    full = dict(params)
    if params.get("address"):
        full["address"] = NOWHERE | params["address"]
    if params.get("shipping"):
        place = NOWHERE | (params["shipping"].get("address") or {})
        full["shipping"] = {"name": None, "phone": None} | params["shipping"] | {"address": place}
    return full


def changed(value: Json, params: Json) -> Json:
    """Return the changes of an update's parameters; metadata is merged, an empty value removes a key."""
    changes = dict(params)
    if "metadata" in changes:
        changes["metadata"] = merged(value["metadata"], changes["metadata"])
    return changes


def merged(old: Json | None, new: Json | None) -> Json:
    """Return metadata after an update: null clears all of it, a key with null is removed."""
    if new is None:
        return {}
    return {name: text for name, text in ((old or {}) | new).items() if text is not None}


def require_future(account: Account, params: Json, *names: str, at: str = "") -> None:
    """Raise StripeError for a date that has passed. `at` is the hash that has the dates."""
    for name in names:
        moment = params.get(name)
        if isinstance(moment, int) and not isinstance(moment, bool) and moment <= account.now():
            words = "Invalid timestamp: must be an integer Unix timestamp in the future."
            raise StripeError(words, param=join(at, name))
