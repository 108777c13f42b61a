"""Authentication of the JSON API by API key or access token, each looked up in one statement."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from typing import ParamSpec

from flask import g, request
from flask.typing import ResponseReturnValue
from sqlalchemy import Executable, bindparam, select, update

from portal import clock, tokens
from portal.api import calls, operators, rate_limits
from portal.enums import Mode
from portal.errors import ScopeMissing, Suspended, Unauthorized
from portal.extensions import client_network, db, write_aside
from portal.models import ApiKey, Customer, UserSession
from portal.models.key import OPERATOR_PREFIX, SCOPES, TOUCH_EVERY, digest, is_well_formed

Params = ParamSpec("Params")
View = Callable[Params, ResponseReturnValue]

OFTEN = "3000/minute"  # called with every request of a product
BAD_KEYS = "60/minute"  # per network address
TOO_MANY = 429


@dataclass(frozen=True, slots=True)
class Caller:
    """An active API key or a person's access token, and its customer. Each request of a product queries this."""

    customer_id: int
    user_id: int
    mode: Mode
    suspended_at: datetime | None
    credit_balance: int
    access_version: int
    key_id: int | None = None  # None, like the rest, for an access token
    prefix: str = ""
    name: str = ""
    scopes: Sequence[str] = SCOPES
    last_used_at: datetime | None = None
    expires_at: datetime | None = None


# Built once, and executed without the ORM, which would cost more per request than the lookup itself.
CUSTOMER = (
    Customer.id,
    Customer.user_id,
    Customer.mode,
    Customer.suspended_at,
    Customer.credit_balance,
    Customer.access_version,
)
OF_KEY = (
    select(
        *CUSTOMER,
        ApiKey.id,
        ApiKey.prefix,
        ApiKey.name,
        ApiKey.scopes,
        ApiKey.last_used_at,
        ApiKey.expires_at,
    )
    .join(Customer, Customer.id == ApiKey.customer_id)
    .where(ApiKey.hash == bindparam("hash"), ApiKey.revoked_at.is_(None))
)
# A key of an earlier system, which has a form of its own.
OF_IMPORTED = OF_KEY.where(ApiKey.imported_at.is_not(None))
# A token is for live mode. It ends with its session: by signing out everywhere, or a new password.
OF_TOKEN = (
    select(*CUSTOMER)
    .join(UserSession, UserSession.user_id == Customer.user_id)
    .where(
        UserSession.id == bindparam("session"),
        UserSession.user_id == bindparam("user"),
        UserSession.ended_at.is_(None),
        UserSession.expires_at > bindparam("now"),
        Customer.mode == Mode.LIVE,
    )
)


def caller_required(
    scope: str = "read", *, limit: str = OFTEN, even_suspended: bool = False, operator: str | None = None
) -> Callable[[View[Params]], View[Params]]:
    """Guard a JSON view: `Authorization: Bearer` with a key of this scope or an access token, in `g.caller`.

    401 for a missing, unknown, expired or revoked one; 402 if the customer is suspended (a person with a token may
    still read, and make `even_suspended` calls: fix the payment, or cancel); 403 without the scope; 429 beyond
    `limit` calls of one customer. An operator key with the scope `operator` is accepted too, in `g.operator`, and
    then `g.caller` is not set.
    """

    def decorate(view: View[Params]) -> View[Params]:
        @wraps(view)
        def guarded(*args: Params.args, **kwargs: Params.kwargs) -> ResponseReturnValue:
            if operator and operators.is_sent():
                operators.enter(operator, limit)
                answer = view(*args, **kwargs)
                operators.touch()
                return answer
            caller = g.caller = _known_caller()
            rate_limits.count(limit, f"{request.endpoint}:{caller.customer_id}")
            _check(caller, scope, even_suspended or scope == "read")
            answer = view(*args, **kwargs)
            _touch(caller)
            return answer

        refusals = (Unauthorized, Suspended, ScopeMissing, TOO_MANY)
        by = ("bearer", "operator") if operator else ("bearer",)
        calls.note(guarded, by=by, scope=scope, operator_scope=operator, is_counted=True, refusals=refusals)
        return guarded

    return decorate


def _known_caller() -> Caller:
    """Return the caller. Clients that repeatedly send invalid keys get 429."""
    try:
        return authenticate(request.headers.get("Authorization", ""))
    except Unauthorized:
        rate_limits.count(BAD_KEYS, f"bad-key:{client_network()}")
        raise


def authenticate(header: str) -> Caller:
    """Return the caller of an Authorization header with an active key or access token. Raises Unauthorized."""
    scheme, _, secret = header.partition(" ")
    secret = secret.strip()
    if scheme.lower() != "bearer":
        raise Unauthorized("Send a key or an access token as `Authorization: Bearer KEY`.")
    caller = _of_key(secret) or _of_token(secret) or _of_imported(secret)
    if caller is None:
        raise Unauthorized("This API key or access token is unknown, expired or revoked.")
    return caller


def _of_key(secret: str) -> Caller | None:
    return _by_hash(OF_KEY, secret) if secret.startswith("key_") and is_well_formed(secret) else None


def _of_imported(secret: str) -> Caller | None:
    return _by_hash(OF_IMPORTED, secret) if secret and not secret.startswith(OPERATOR_PREFIX) else None


def _by_hash(query: Executable, secret: str) -> Caller | None:
    row = db.session.connection().execute(query, {"hash": digest(secret)}).one_or_none()
    caller = Caller(*row) if row else None
    return None if caller is None or (caller.expires_at and caller.expires_at <= clock.now()) else caller


def _of_token(token: str) -> Caller | None:
    claims = tokens.claims(token, "access")
    if claims is None:
        return None
    ids = {"user": claims.user_id, "session": claims.session_id, "now": clock.now()}
    row = db.session.connection().execute(OF_TOKEN, ids).one_or_none()
    return row and Caller(*row)


def _check(caller: Caller, scope: str, even_suspended: bool) -> None:
    """Raise the error that refuses this caller a call with this scope."""
    if caller.suspended_at is not None and (caller.key_id or not even_suspended):
        raise Suspended("This account is suspended. The usage page says why, and what lifts it.")
    if scope not in caller.scopes:
        raise ScopeMissing(scope)


def customer() -> Customer:
    """Return the caller's customer."""
    found = db.session.get(Customer, g.caller.customer_id)
    assert found is not None
    return found


def _touch(caller: Caller) -> None:
    """Record the key's last use, to the minute."""
    now = clock.now()
    if caller.key_id is None or (caller.last_used_at and now - caller.last_used_at < TOUCH_EVERY):
        return
    write_aside(update(ApiKey).where(ApiKey.id == caller.key_id).values(last_used_at=now))
