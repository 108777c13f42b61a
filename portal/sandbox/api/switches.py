"""The sandbox's own switches over HTTP, under /_config, separate from Stripe's paths."""

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, current_app, jsonify, request

from portal.sandbox.account import Account
from portal.sandbox.api.controls import Deliveries, Failures, Settlements, settings
from portal.sandbox.api.errors import StripeError
from portal.sandbox.api.operations import config, controls, store
from portal.sandbox.domain import timers
from portal.sandbox.domain.payments import disputes, legacy_charges
from portal.sandbox.webhooks.deliveries import Deliverer
from portal.sandbox.webhooks.events import public

Json = dict[str, Any]
Answer = Response | tuple[Response, int]
switchboard = Blueprint("switchboard", __name__, url_prefix="/_config")


def deliverer() -> Deliverer:
    """Return the running sandbox's deliverer."""
    running: Deliverer = current_app.extensions["deliverer"]
    return running


@switchboard.get("")
def show() -> Response:
    return jsonify(controls().state())


@switchboard.post("/deliveries")
def deliveries() -> Answer:
    return put("deliveries", Deliveries)


@switchboard.post("/settlements")
def settlements() -> Answer:
    return put("settlements", Settlements)


@switchboard.post("/settlements/flush")
def settle() -> Response:
    timers.settle(store(), config())
    return show()


@switchboard.post("/failures")
def failures() -> Answer:
    return put("failures", Failures)


def put(name: str, kind: Any) -> Answer:
    """Set the switches of one kind from the JSON body; those that it doesn't name are reset."""
    try:
        setattr(controls(), name, settings(kind, request.get_json()))
    except (ValueError, TypeError) as problem:
        return jsonify(error=str(problem)), 400
    return show()


@switchboard.post("/disputes/<intent>")
def dispute(intent: str) -> Answer:
    """Open a dispute, which at Stripe only a cardholder can do."""
    return act(disputes.complain, intent)


@switchboard.post("/legacy_charges/<intent>")
def legacy_charge(intent: str) -> Answer:
    """What only an account's past can have made: a charge without a payment intent."""
    return act(legacy_charges.detach, intent)


def act(do: Callable[[Account, str], Json], object_id: str) -> Answer:
    """Do something to an object, in the mode that it is of."""
    account = Account(store(), config(), "live" if store().mode_of(object_id) == "live" else "test")
    try:
        with store().transaction():
            made = do(account, object_id)
    except StripeError as error:
        return jsonify(error.answer()), error.status
    return jsonify(public(made))


@switchboard.post("/deliveries/flush")
def flush() -> Response:
    deliverer().flush()
    return show()


@switchboard.post("/deliveries/discard")
def discard() -> Response:
    deliverer().discard()
    return show()


@switchboard.post("/reset")
def reset() -> Response:
    controls().deliveries, controls().settlements, controls().failures = Deliveries(), Settlements(), Failures()
    return show()
