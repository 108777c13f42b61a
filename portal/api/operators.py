"""The operator's own services: operator keys, their scopes, and the calls that require one.

A view of the JSON API uses `@operator_required("usage:void")`. The key is then in `g.operator`, and the audit log
names it as the actor.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from typing import ParamSpec

from flask import g, request
from flask.typing import ResponseReturnValue
from sqlalchemy import bindparam, select, update

from portal import clock
from portal.api import calls, rate_limits
from portal.errors import OperatorScopeMissing, Unauthorized
from portal.extensions import client_network, db, write_aside
from portal.models import OperatorKey
from portal.models.key import OPERATOR_PREFIX, TOUCH_EVERY, digest, is_well_formed

Params = ParamSpec("Params")
View = Callable[Params, ResponseReturnValue]

OFTEN = "3000/minute"
BAD_KEYS = "60/minute"  # per network address
TOO_MANY = 429
REFUSALS = (Unauthorized, OperatorScopeMissing, TOO_MANY)
OF_KEY = select(
    OperatorKey.id,
    OperatorKey.name,
    OperatorKey.scopes,
    OperatorKey.expires_at,
    OperatorKey.last_used_at,
).where(OperatorKey.hash == bindparam("hash"), OperatorKey.revoked_at.is_(None))


@dataclass(frozen=True, slots=True)
class Operator:
    """An active operator key."""

    key_id: int
    name: str
    scopes: Sequence[str]
    expires_at: datetime | None
    last_used_at: datetime | None


def operator_required(scope: str, *, limit: str = OFTEN) -> Callable[[View[Params]], View[Params]]:
    """Guard a JSON view: `Authorization: Bearer` with an operator key of this scope, in `g.operator`.

    401 for a missing, unknown, expired or revoked one, and for customers' keys; 403 without the scope; 429 beyond
    `limit` calls of one key.
    """

    def decorate(view: View[Params]) -> View[Params]:
        @wraps(view)
        def guarded(*args: Params.args, **kwargs: Params.kwargs) -> ResponseReturnValue:
            enter(scope, limit)
            answer = view(*args, **kwargs)
            touch()
            return answer

        calls.note(guarded, by=("operator",), operator_scope=scope, is_counted=True, refusals=REFUSALS)
        return guarded

    return decorate


def is_sent() -> bool:
    """Return whether this request carries an operator key, valid or not."""
    return _secret().startswith(OPERATOR_PREFIX)


def enter(scope: str, limit: str) -> None:
    """Authenticate this request's operator key and put it into `g.operator`. Raises Unauthorized,
    OperatorScopeMissing, 429.
    """
    operator = _of_secret(_secret())
    if operator is None:
        rate_limits.count(BAD_KEYS, f"bad-key:{client_network()}")
        raise Unauthorized("Send an operator key as `Authorization: Bearer KEY`. `flask operator-keys` makes one.")
    g.operator = operator
    rate_limits.count(limit, f"{request.endpoint}:operator:{operator.key_id}")
    if scope not in operator.scopes:
        raise OperatorScopeMissing(scope)


def touch() -> None:
    """Record the key's last use, to the minute. Commits."""
    operator: Operator = g.operator
    now = clock.now()
    if operator.last_used_at is None or now - operator.last_used_at >= TOUCH_EVERY:
        write_aside(update(OperatorKey).where(OperatorKey.id == operator.key_id).values(last_used_at=now))


def _secret() -> str:
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else ""


def _of_secret(secret: str) -> Operator | None:
    if not secret.startswith(OPERATOR_PREFIX) or not is_well_formed(secret):
        return None
    row = db.session.connection().execute(OF_KEY, {"hash": digest(secret)}).one_or_none()
    operator = row and Operator(*row)
    return None if operator is None or (operator.expires_at and operator.expires_at <= clock.now()) else operator
