"""The sandbox's own switches over HTTP, under /_config, separate from Stripe's paths. Each concerns the
account of the request's key; without a key, the default account.
"""

import secrets
from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, current_app, jsonify, request

from portal.sandbox.account import Account
from portal.sandbox.api import keys
from portal.sandbox.api.controls import Deliveries, Failures, Settlements, settings
from portal.sandbox.api.errors import StripeError, missing
from portal.sandbox.api.operations import served
from portal.sandbox.config import account_in
from portal.sandbox.domain import timers
from portal.sandbox.domain.payments import disputes, legacy_charges
from portal.sandbox.store import Rows
from portal.sandbox.switches import fixtures
from portal.sandbox.tenants import Tenant
from portal.sandbox.webhooks.events import public

Json = dict[str, Any]
Answer = Response | tuple[Response, int]
switchboard = Blueprint("switchboard", __name__, url_prefix="/_config")
SAVED: dict[str, tuple[str, Rows]] = {}  # account and what it had stored, by the name of the copy


def tenant() -> Tenant:
    """Return the account of the request's key; without a key, the default one. Raises StripeError (401)."""
    return keys.caller()[0] if keys.sent_key() else keys.tenants().of("")


@switchboard.errorhandler(StripeError)
def refused(error: StripeError) -> Answer:
    return jsonify(error.answer()), error.status


@switchboard.errorhandler(ValueError)
@switchboard.errorhandler(TypeError)
@switchboard.errorhandler(fixtures.FixtureError)
def unclear(error: Exception) -> Answer:
    return jsonify(error=str(error)), 400


@switchboard.get("")
def show() -> Response:
    return jsonify(tenant().controls.state())


@switchboard.post("/deliveries")
def deliveries() -> Answer:
    return put("deliveries", Deliveries)


@switchboard.post("/settlements")
def settlements() -> Answer:
    return put("settlements", Settlements)


@switchboard.post("/settlements/flush")
def settle() -> Response:
    timers.settle(tenant().store, tenant().config)
    return show()


@switchboard.post("/failures")
def failures() -> Answer:
    return put("failures", Failures)


def put(name: str, kind: Any) -> Response:
    """Set the switches of one kind from the JSON body; those that it doesn't name are reset."""
    setattr(tenant().controls, name, settings(kind, request.get_json()))
    look_again()
    return show()


def look_again() -> None:
    """Make the deliverer look at what is due, because a switch may have released it."""
    tenant().store.written = True
    keys.tenants().nudge.set()


@switchboard.post("/disputes/<intent>")
def dispute(intent: str) -> Answer:
    """Open a dispute, which at Stripe only a cardholder can do."""
    return act(disputes.complain, intent)


@switchboard.post("/objects/<object_id>")
def rewrite(object_id: str) -> Response:
    """Write fields of an object as given, without an event: what the sandbox returns of itself never is so."""
    return act(lambda account, id_: rewritten(account, id_, request.get_json()), object_id)


def rewritten(account: Account, object_id: str, fields: Json) -> Json:
    """Write these fields, named with dots where they are nested. Raises StripeError."""
    value = account.get(object_id)
    if value is None:
        raise missing("object", object_id)
    for name, given in fields.items():
        *path, last = name.split(".")
        inner = value
        for part in path:
            inner = inner[part]
        inner[last] = given
    return account.save(value)


@switchboard.post("/legacy_charges/<intent>")
def legacy_charge(intent: str) -> Answer:
    """What only an account's past can have made: a charge without a payment intent."""
    return act(legacy_charges.detach, intent)


def act(do: Callable[[Account, str], Json], object_id: str) -> Response:
    """Do something to an object, in the account and mode that it is of."""
    mine = tenant()
    account = mine.holder(object_id) or (keys.tenants().holding(object_id) if not keys.sent_key() else None)
    account = account or mine.account("test")
    with account.store.transaction():
        made = do(account, object_id)
    return jsonify(public(made))


@switchboard.post("/deliveries/flush")
def flush() -> Response:
    waiting = tenant().deliverer.flush()
    return jsonify(tenant().controls.state() | {"waiting": waiting})


@switchboard.post("/deliveries/discard")
def discard() -> Response:
    tenant().deliverer.discard()
    return show()


@switchboard.post("/reset")
def reset() -> Response:
    """Reset all switches. Nothing that is stored changes."""
    controls = tenant().controls
    controls.deliveries, controls.settlements, controls.failures = Deliveries(), Settlements(), Failures()
    look_again()
    return show()


@switchboard.post("/wipe")
def wipe() -> Response:
    """Delete everything that the account has."""
    tenant().wipe()
    return show()


@switchboard.post("/save")
def save() -> Response:
    """Keep a copy of everything that the account has, until the sandbox stops."""
    name = secrets.token_hex(8)
    SAVED[name] = (tenant().name, tenant().store.copy())
    return jsonify(saved=name)


@switchboard.post("/restore")
def restore() -> Answer:
    """Store what a copy has, and nothing else."""
    name = request.get_json()["saved"]
    owner, copy = SAVED.get(name, (None, {}))
    if owner != tenant().name:
        return jsonify(error=f"This account has saved nothing as {name}."), 404
    tenant().store.put_back(copy)
    return show()


@switchboard.post("/seed")
def seed() -> Answer:
    """Send the requests of a fixture file with the request's key; without one, with the test key."""
    key = keys.sent_key() or keys.tenants().config.test_key
    return jsonify(fixtures.seed(request.get_json(), current_app.test_client(), key))


@switchboard.post("/keys")
def restrict() -> Answer:
    """Set what a restricted key permits."""
    given = request.get_json()
    key, mode = given["key"], keys.mode_of(given["key"], keys.tenants().config)
    if mode is None:
        return jsonify(error="This key names no account."), 400
    owner = keys.tenants().of(account_in(key))
    keys.restrict(owner.account(mode), key, given["permissions"], served())
    return jsonify(key=keys.masked(key), permissions=given["permissions"])
