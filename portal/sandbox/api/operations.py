"""From an HTTP request to an operation and back: keys, parameters, idempotency, errors, headers."""

import json
import re
import secrets
import string
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, request

from portal.sandbox import spec
from portal.sandbox.account import Account
from portal.sandbox.api import checks, idempotency, keys, parameters
from portal.sandbox.api.errors import ApiError, StripeError
from portal.sandbox.api.expand import expanded
from portal.sandbox.api.wire import Reader, nest
from portal.sandbox.tenants import LoggedRequest
from portal.sandbox.webhooks.events import public

Json = dict[str, Any]
DEFAULT_VERSION = "2026-08-26.dahlia"  # the version of a request without Stripe-Version
ALPHABET = string.ascii_letters + string.digits

api = Blueprint("api", __name__)
SERVED: set[str] = set()


@dataclass(frozen=True)
class Operation:
    """One of Stripe's operations: its name, such as POST /v1/customers, its parameters, and its function."""

    name: str
    takes: Json
    do: Callable[..., Json]


def operation(
    method: str, path: str, takes: Json | None = None
) -> Callable[[Callable[..., Json]], Callable[..., Json]]:
    """Register the function of an operation, which gets the account, the parameters and the ids in the path."""

    def register(do: Callable[..., Json]) -> Callable[..., Json]:
        name = f"{method} {path}"
        SERVED.add(name)
        made = Operation(name, spec.parameters(name) if takes is None else takes, do)
        rule = re.sub(r"\{(\w+)\}", r"<\1>", path)

        def view(**ids: str) -> Response:
            return serve(made, ids)

        api.add_url_rule(rule, name.replace(".", "-"), view, methods=[method])
        return do

    return register


def served() -> frozenset[str]:
    """Return the names of the operations that are served."""
    return frozenset(SERVED)


def serve(operation: Operation, ids: dict[str, str]) -> Response:
    """Respond to one API request."""
    request_id = "req_" + "".join(secrets.choice(ALPHABET) for _ in range(14))
    begun = time.time()
    tenant, mode = None, None
    try:
        tenant, mode = keys.caller()
        keys.check_permission(tenant, operation.name)
        account = tenant.account(mode, {"id": request_id, "idempotency_key": _key()})
        with tenant.controls.failing(request.method, request.path) as fault:
            if fault is None:
                reply = answer(operation, ids, account)
            else:
                reply = idempotency.Reply(fault.status, fault.body, request_id)
                if fault.acted:
                    answer(operation, ids, account)
                remember_fault(account, reply)
    except StripeError as error:
        reply = idempotency.Reply(error.status, error.answer(), request_id)
    if tenant and mode:
        refused = str(reply.body.get("error", {}).get("message", "")) if reply.status >= 400 else ""
        took = (time.time() - begun) * 1000
        made = (request_id, mode, request.method, request.path, reply.status, int(begun), took, refused)
        tenant.requests.appendleft(LoggedRequest(*made))
    return respond(reply, request_id)


def answer(operation: Operation, ids: dict[str, str], account: Account) -> idempotency.Reply:
    """Execute the operation, or repeat the response for the same idempotency key."""
    tree = nest(_pairs())
    params = Reader(_version()).fields(tree, operation.takes)
    parameters.refuse_others(operation.name, tree, operation.takes)
    checks.check(account, params, lists="limit" in operation.takes)
    expand = params.pop("expand", None) or []

    def do() -> Json:
        value = operation.do(account, params, **ids)
        return expanded(account, public(value), expand)

    return idempotency.once(account, _key(), idempotency.fingerprint(request.method, request.path, tree), do)


def remember_fault(account: Account, reply: idempotency.Reply) -> None:
    """Record a simulated 500, which Stripe replays for 24 hours. A 429 is refused before anything is recorded."""
    key = _key()
    if key and reply.status >= 500:
        mark = idempotency.fingerprint(request.method, request.path, nest(_pairs()))
        with account.store.transaction():
            idempotency.record(account, key, mark, reply)


def respond(reply: idempotency.Reply, request_id: str) -> Response:
    """Return the HTTP response with Stripe's headers."""
    response = Response(json.dumps(reply.body, indent=2), reply.status, mimetype="application/json")
    response.headers["Request-Id"] = request_id
    response.headers["Stripe-Version"] = _version()
    key = _key()
    if key:
        response.headers["Idempotency-Key"] = key
    if reply.replayed:
        response.headers["Idempotent-Replayed"] = "true"
        response.headers["Original-Request"] = reply.request_id
    return response


def _key() -> str | None:
    return request.headers.get("Idempotency-Key") if request.method == "POST" else None


def _pairs() -> list[tuple[str, str]]:
    given = list(request.args.items(multi=True))
    return given if request.method == "GET" else given + list(request.form.items(multi=True))


def _version() -> str:
    version = request.headers.get("Stripe-Version") or DEFAULT_VERSION
    if not re.fullmatch(r"\d{4}-\d\d-\d\d(\.\w+)?", version):
        return DEFAULT_VERSION
    return version


@api.app_errorhandler(404)
@api.app_errorhandler(405)
def unrecognized(error: Exception) -> Response | tuple[str, int]:
    """Return Stripe's response for an unknown URL."""
    if not request.path.startswith(("/v1/", "/v2/")):
        return "Not found", 404
    words = f"Unrecognized request URL ({request.method}: {request.path}). "
    hint = "Please see https://stripe.com/docs or we can help at https://support.stripe.com/."
    refused = StripeError(words + hint, status=404)
    return respond(idempotency.Reply(404, refused.answer(), "req_unrecognized"), "req_unrecognized")


@api.app_errorhandler(500)
def broken(error: Exception) -> Response | tuple[str, int]:
    """Return an error of the sandbox itself in Stripe's format."""
    if not request.path.startswith("/v1/"):
        return "Something went wrong in the sandbox", 500
    fault = ApiError("An unknown error occurred")
    return respond(idempotency.Reply(500, fault.answer(), "req_broken"), "req_broken")
