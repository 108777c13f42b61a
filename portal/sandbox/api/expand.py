"""expand[]: replaces ids by objects, and adds parts that Stripe sends only on request."""

from collections.abc import Callable
from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api.errors import StripeError
from portal.sandbox.webhooks.events import public

Json = dict[str, Any]
Part = Callable[[Account, Json], Any]
PARTS: dict[tuple[str, str], Part] = {}
PAID_BY = ("charge", "payment_intent", "payment_record")  # what `payment.type` of an invoice payment names


def on_request(kind: str, name: str) -> Callable[[Part], Part]:
    """Register a function that returns a part of an object that is sent only on request."""

    def register(part: Part) -> Part:
        PARTS[kind, name] = part
        return part

    return register


def expanded(account: Account, value: Json, paths: list[str]) -> Json:
    """Return the response with every path expanded. Raises StripeError for an invalid path."""
    for path in paths:
        _open(account, value, path.split("."), path)
    return value


def _open(account: Account, value: Any, names: list[str], path: str) -> None:
    if isinstance(value, list):
        for item in value:
            _open(account, item, names, path)
        return
    if not names or value is None:
        return
    if isinstance(value, dict) and value.get("deleted") is True:  # nothing is left to expand
        return
    if not isinstance(value, dict):
        raise refused(path)
    name, rest = names[0], names[1:]
    if name in PAID_BY and name not in value and value.get("type") in PAID_BY:
        return  # an invoice's payment has the field of its own type alone
    value[name] = _opened(account, value, name, path)
    _open(account, value[name], rest, path)


def _opened(account: Account, value: Json, name: str, path: str) -> Any:
    part = PARTS.get((value.get("object", ""), name))
    if part and name not in value:
        full = account.get(value["id"]) or value
        return public(part(account, full))
    if name not in value:
        raise refused(path)
    inner = value[name]
    if isinstance(inner, list):
        return [_object(account, item, path) for item in inner]
    return _object(account, inner, path)


def _object(account: Account, inner: Any, path: str) -> Any:
    if not isinstance(inner, str):
        return inner
    found = account.get(inner)
    if found is None:
        raise refused(path)
    return public(found)


def refused(path: str) -> StripeError:
    """Return Stripe's error for an invalid expansion."""
    words = f"This property cannot be expanded ({path}). You may want to try expanding a different property."
    return StripeError(words, param="expand")
