"""The sandbox's own switches over HTTP, under /_config and so apart from Stripe's paths."""

from typing import Any

from flask import Blueprint, Response, current_app, jsonify, request

from portal.sandbox.account import Account
from portal.sandbox.api.controls import Deliveries, Failures, Settlements, settings
from portal.sandbox.api.errors import StripeError
from portal.sandbox.api.operations import config, controls, store
from portal.sandbox.domain import timers
from portal.sandbox.domain.payments import disputes
from portal.sandbox.webhooks.deliveries import Deliverer
from portal.sandbox.webhooks.events import public

Answer = Response | tuple[Response, int]
switchboard = Blueprint("switchboard", __name__, url_prefix="/_config")


def deliverer() -> Deliverer:
    """The running sandbox's deliverer."""
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
    """Set the switches of one kind as the JSON body says; what it doesn't name is off."""
    try:
        setattr(controls(), name, settings(kind, request.get_json()))
    except (ValueError, TypeError) as problem:
        return jsonify(error=str(problem)), 400
    return show()


@switchboard.post("/disputes/<intent>")
def dispute(intent: str) -> Answer:
    """What only a cardholder can do, and so no call of Stripe's."""
    account = Account(store(), config(), "live" if store().mode_of(intent) == "live" else "test")
    try:
        with store().transaction():
            made = disputes.complain(account, intent)
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
